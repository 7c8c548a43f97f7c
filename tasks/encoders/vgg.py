"""The frozen VGG-19 encoders whose features methods, losses and scores read: the normalised one, a student.

N images, C channels, H and W pixels; features of level k are relu{k}_1, NCHW at 1/2^(k-1) of the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.weights.loading import layout_of, match_layout

# Index in `vgg_normalised.pth` (53 modules) and channels of each convolution; index 0 is the 1x1 colour one.
NORMALISED_CHANNELS = {
    2: 64, 5: 64, 9: 128, 12: 128, 16: 256, 19: 256, 22: 256, 25: 256,
    29: 512, 32: 512, 35: 512, 38: 512, 42: 512, 45: 512, 48: 512, 51: 512,
}  # fmt: skip
NORMALISED_MODULES = 53
NORMALISED_POOLS = (7, 14, 27, 40)
NORMALISED_ENDS = (4, 11, 18, 31, 44)  # one past the ReLU of relu1_1 .. relu5_1: the authors' cuts
STUDENT_STAGES = (
    ("conv11",),
    ("conv12", "pool", "conv21"),
    ("conv22", "pool", "conv31"),
    ("conv32", "conv33", "conv34", "pool", "conv41"),
    ("conv42", "conv43", "conv44", "pool", "conv51"),
)
LEVELS = 5
Network = TypeVar("Network", bound=nn.Module)


def build_normalised_modules(end: int) -> nn.Sequential:
    """The first `end` modules of the normalised VGG-19, numbered as in the authors' file."""
    modules: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
    channels = 3
    while len(modules) < end:
        index = len(modules)
        if index in NORMALISED_POOLS:
            modules.append(nn.MaxPool2d(2, ceil_mode=True))
        elif index in NORMALISED_CHANNELS:
            modules.append(nn.Conv2d(channels, NORMALISED_CHANNELS[index], 3))
            channels = NORMALISED_CHANNELS[index]
        else:
            modules.append(nn.ReflectionPad2d(1) if index + 1 in NORMALISED_CHANNELS else nn.ReLU())
    return nn.Sequential(*modules)


def normalised_layout() -> dict[str, list[int]]:
    """Names and shapes of the tensors of `vgg_normalised.pth`, all of its layers."""
    with torch.device("meta"):
        return layout_of(build_normalised_modules(NORMALISED_MODULES).state_dict())


class NormalisedVgg(nn.Module):
    """The normalised VGG-19 of AdaIN and AdaAttN, as deep as `levels` (1 to 5); input RGB in [0, 1].

    Keys are those of `vgg_normalised.pth`; layers of a state dict past the last level are ignored.
    """

    def __init__(self, levels: int = LEVELS) -> None:
        super().__init__()
        self.ends = NORMALISED_ENDS[:levels]
        self.modules_by_index = build_normalised_modules(self.ends[-1])

    def forward(self, images_NCHW: Tensor) -> list[Tensor]:
        """relu1_1 to the last level built; sides of at least 2 at the deepest level."""
        return list(self.stream(images_NCHW))

    def stream(self, images_NCHW: Tensor) -> Iterator[Tensor]:
        """The same, each level as soon as it is there: what nobody keeps of it goes before the next one."""
        start, last_NCHW = 0, images_NCHW
        for end in self.ends:
            last_NCHW = self.modules_by_index[start:end](last_NCHW)
            yield last_NCHW
            start = end

    @classmethod
    def open(cls, tensors: Mapping[str, Tensor], levels: int | None = None) -> NormalisedVgg:
        """The network of a state dict, frozen; `levels` None takes all that the tensors reach."""
        reached = sum(f"{end - 2}.weight" in tensors for end in NORMALISED_ENDS)
        network = cls(check_levels(levels, reached))
        names = network.modules_by_index.state_dict()
        network.modules_by_index.load_state_dict({name: tensors[name].float() for name in names})
        return freeze(network)


class StudentVgg(nn.Module):
    """A VGG-19 with a sixteenth of the parameters (Wang et al., Collaborative Distillation, CVPR 2020).

    Keys are those of the authors' `*_16x` encoders; input RGB in [0, 1]. With `heads`, each level's 1x1
    `_aux` head, and a ReLU, map its features to the channels of VGG-19 itself (64, 128, 256, 512, 512): they
    correlate 0.99, 0.91, 0.84 with the exact relu1_1, relu2_1, relu3_1 on crops of art.
    """

    def __init__(self, tensors: Mapping[str, Tensor], levels: int, heads: bool = False) -> None:
        super().__init__()
        self.stages = STUDENT_STAGES[:levels]
        self.heads = [stage[-1] + "_aux" for stage in self.stages] if heads else []
        layers = [name for stage in self.stages for name in stage if name != "pool"]
        self.layers = nn.ModuleDict()
        for name in ["conv0", *layers, *self.heads]:
            channels_out, channels_in, side, _ = tensors[f"{name}.weight"].shape
            layer = nn.Conv2d(channels_in, channels_out, side)
            layer.load_state_dict({key: tensors[f"{name}.{key}"].float() for key in ("weight", "bias")})
            self.layers[name] = layer

    def forward(self, images_NCHW: Tensor) -> list[Tensor]:
        """relu1_1 to the last level built, the student's own channels or, with heads, those of VGG-19."""
        features, last_NCHW = [], self.layers["conv0"](images_NCHW)
        for stage in self.stages:
            for name in stage:
                last_NCHW = F.max_pool2d(last_NCHW, 2) if name == "pool" else self.convolve(name, last_NCHW)
            features.append(last_NCHW)
        if not self.heads:
            return features
        return [F.relu(self.layers[head](level)) for head, level in zip(self.heads, features, strict=True)]

    def convolve(self, name: str, features_NCHW: Tensor) -> Tensor:
        return F.relu(self.layers[name](F.pad(features_NCHW, (1, 1, 1, 1), mode="reflect")))

    @classmethod
    def open(cls, tensors: Mapping[str, Tensor], levels: int | None = None, heads: bool = False) -> StudentVgg:
        """The network of a state dict, frozen; `levels` None takes all that the tensors reach."""
        reached = sum(f"{stage[-1]}.weight" in tensors for stage in STUDENT_STAGES)
        return freeze(cls(tensors, check_levels(levels, reached), heads))


def open_published(tensors: Mapping[str, Tensor], levels: int) -> NormalisedVgg:
    """The network of `vgg_normalised.pth`, or of as much of it as the levels need. Raises RequestError."""
    layout = normalised_layout()
    needed = {name: shape for name, shape in layout.items() if int(name.split(".")[0]) < NORMALISED_ENDS[levels - 1]}
    match_layout(tensors, needed, "the normalised VGG-19 (vgg_normalised.pth)", ignored=layout.keys())
    return NormalisedVgg.open(tensors, levels)


def open_perceptual(tensors: Mapping[str, Tensor], levels: int | None = None) -> NormalisedVgg | StudentVgg:
    """Whichever VGG a state dict holds, told by its keys; ValueError where it holds neither."""
    if "conv11.weight" in tensors:
        return StudentVgg.open(tensors, levels)
    if "2.weight" in tensors and "0.weight" in tensors:
        return NormalisedVgg.open(tensors, levels)
    raise ValueError("not a VGG encoder: no keys of vgg_normalised.pth (0, 2) or of a student (conv11)")


def check_levels(wanted: int | None, reached: int) -> int:
    if reached == 0 or (wanted is not None and not 1 <= wanted <= reached):
        raise ValueError(f"this VGG reaches relu{reached}_1; level {wanted} was asked for")
    return reached if wanted is None else wanted


def freeze(network: Network) -> Network:
    """Evaluation mode, and no gradient for its weights (gradients still pass through to the images)."""
    return network.eval().requires_grad_(False)
