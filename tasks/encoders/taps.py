"""Features of frozen networks by the name of their tap, and torchvision's VGG-16 and VGG-19 as one such network.

N images, C channels, H and W pixels. A tap is a place in a network: `conv4_2` (before its ReLU), `relu4_2` (after
it), `pool4`, or in other networks their own names. Whatever reads features by name reads any network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.encoders.vgg import freeze
from tasks.records import RequestError
from tasks.weights.loading import match_layout

Extractor = Callable[[Tensor], Mapping[str, Tensor]]  # of images_NCHW, RGB in [0, 1], features_NCHW by tap

# Simonyan and Zisserman, ICLR 2015, table 1, D and E: convolutions and their channels in each of five blocks.
BLOCKS = {"VGG-16": (2, 2, 3, 3, 3), "VGG-19": (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)
TELLING = {"16.weight": "VGG-19", "17.weight": "VGG-16"}  # the first convolution that only one of them has there
PREFIX = "features."
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB in [0, 1], of torchvision's weights; those of LPIPS come to the same
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def name_layers(kind: str) -> list[str]:
    """The taps of a VGG in order; a tap's place in the list is its module's index in torchvision's `features`."""
    names = []
    for block, count in enumerate(BLOCKS[kind], start=1):
        for layer in range(1, count + 1):
            names += [f"conv{block}_{layer}", f"relu{block}_{layer}"]
        names.append(f"pool{block}")
    return names


class TorchvisionVgg(nn.Module):
    """VGG-16 or VGG-19 with zero padding, as deep as the deepest tap asked for; an `Extractor`.

    No operation works in place: in torchvision's own network the ReLU overwrites the map that was kept of the
    convolution before it, so that a `conv4_2` taken there is in truth `relu4_2` (CLIPstyler's and StyleID's are).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, kind: str, taps: Sequence[str], normalise: bool = True) -> None:
        super().__init__()
        layers = name_layers(kind)
        check_taps(taps, layers, kind)
        self.taps = tuple(taps)
        self.layers = layers[: 1 + max(layers.index(tap) for tap in taps)]
        self.normalise = normalise
        channels, convolutions = 3, {}
        for name in self.layers:
            if name.startswith("conv"):
                wider = CHANNELS[int(name[4]) - 1]
                convolutions[name] = nn.Conv2d(channels, wider, 3, padding=1)
                channels = wider
        self.convolutions = nn.ModuleDict(convolutions)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).reshape(3, 1, 1), persistent=False)

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        """The features of each tap, NCHW, of RGB in [0, 1] (with `normalise`) or already normalised images.

        An image needs sides of at least 2 to the power of the pools that lie before the deepest tap.
        """
        last_NCHW = (images_NCHW - self.mean) / self.deviation if self.normalise else images_NCHW
        found = {}
        for name in self.layers:
            last_NCHW = self.pass_through(name, last_NCHW)
            if name in self.taps:
                found[name] = last_NCHW
        return found

    def pass_through(self, name: str, features_NCHW: Tensor) -> Tensor:
        if name.startswith("pool"):
            return F.max_pool2d(features_NCHW, 2)
        if name.startswith("relu"):
            return F.relu(features_NCHW)  # a new tensor: the convolution's may be a tap
        convolved_NCHW: Tensor = self.convolutions[name](features_NCHW)
        return convolved_NCHW

    @classmethod
    def open(cls, tensors: Mapping[str, Tensor], taps: Sequence[str], normalise: bool = True) -> TorchvisionVgg:
        """The network of a state dict, frozen: torchvision's whole one, or its `features` alone, told by the keys.

        Tensors past the deepest tap are not read, and need not be there past index 17. RequestError where the
        tensors are another network's, or a tap is not this network's.
        """
        convolutions = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
        kinds = [kind for name, kind in TELLING.items() if name in convolutions]
        if not kinds:
            raise RequestError("These are not the weights of torchvision's VGG-16 or VGG-19: get one of them.")
        network = cls(kinds[0], taps, normalise)
        wanted = {
            f"{network.layers.index(layer)}.{part}": f"convolutions.{layer}.{part}"
            for layer in network.convolutions
            for part in ("weight", "bias")
        }
        state = network.state_dict()
        read = {name: convolutions[name] for name in wanted if name in convolutions}
        match_layout(read, {name: state[own].shape for name, own in wanted.items()}, f"torchvision's {kinds[0]}")
        network.load_state_dict({own: read[name].float() for name, own in wanted.items()})
        return freeze(network)


class LevelTaps(nn.Module):
    """A network that gives a list of relu1_1, relu2_1, ... (`NormalisedVgg`, `StudentVgg`) as an `Extractor`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_NCHW: Tensor) -> dict[str, Tensor]:
        return {f"relu{level}_1": maps for level, maps in enumerate(self.network(images_NCHW), start=1)}


def check_taps(taps: Sequence[str], there: Sequence[str], what: str) -> None:
    """Raise RequestError for no tap at all, or one that a network does not have."""
    unknown = [tap for tap in taps if tap not in there]
    if unknown or not taps:
        named = f"has no tap {unknown[0]}" if unknown else "was asked for no tap"
        raise RequestError(f"{what} {named}: name taps out of {', '.join(there)}.")
