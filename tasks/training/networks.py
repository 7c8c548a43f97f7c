"""The networks that a stylizer's recipe trains, by the name of their method; over our encoder or over VGG.

N images, C channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch

from torch import Tensor, nn

from tasks.encoders.first_weights import keep_scale
from tasks.methods.adaattn.network import AdaAttnNetwork
from tasks.methods.adaattn.small import SmallAdaAttN
from tasks.methods.adaattn.vgg_training import TrainableVggAdaAttN
from tasks.methods.adain.small import SmallStylizer
from tasks.methods.style_kernel.network import StyleKernelNetwork
from tasks.methods.style_kernel.small import SmallStyleKernel
from tasks.methods.style_kernel.vgg import VggStyleKernel
from tasks.records import RequestError
from tasks.training.discriminator import SMALLEST_SIDE, PatchDiscriminator
from tasks.training.stylizer_settings import StylizerSettings
from tasks.weights.loading import load_tensors
from tasks.weights.references import resolve

# Each takes contents and styles NCHW, row by row, and gives images; its `reconstruct` takes images alone.
Stylizer = SmallStylizer | AdaAttnNetwork | StyleKernelNetwork

NETWORKS: dict[str, dict[str, Callable[[], Stylizer]]] = {
    "adain": {"small": SmallStylizer},
    "adaattn": {"small": SmallAdaAttN, "vgg": TrainableVggAdaAttN},
    "style_kernel": {"small": SmallStyleKernel, "vgg": VggStyleKernel},
}
STRIDE = 16  # of relu5_1, the deepest that one of them reads
PARTS = ("stylizer", "discriminator")


class Adversaries(nn.Module):
    """A stylizer and the discriminator that it learns to deceive: one network to the loop."""

    def __init__(self, stylizer: Stylizer, discriminator: PatchDiscriminator) -> None:
        super().__init__()
        self.stylizer, self.discriminator = stylizer, discriminator


def build_network(name: str, settings: StylizerSettings) -> Stylizer | Adversaries:
    """What a recipe trains, with its first weights. Raises RequestError where settings do not go together."""
    check(name, settings)
    stylizer = build_stylizer(name, settings.encoder)
    if settings.encoder_weights and isinstance(stylizer, TrainableVggAdaAttN | VggStyleKernel):
        stylizer.load_encoder(load_tensors(resolve(settings.encoder_weights)))
    if settings.start:
        start_from(stylizer, load_tensors(resolve(settings.start)), settings.start_names)
    if not settings.adversarial_weight:
        return stylizer
    return Adversaries(stylizer, PatchDiscriminator(settings.discriminator_width))


def build_stylizer(name: str, encoder: str = "small") -> Stylizer:
    """With random weights that keep the scale of features, its encoder's too."""
    stylizer = NETWORKS[name][encoder]()
    if isinstance(stylizer, VggStyleKernel):
        keep_scale(stylizer.decoder)
    return stylizer


def stylizer_of(network: nn.Module) -> Stylizer:
    """The part that is used later."""
    stylizer = network.stylizer if isinstance(network, Adversaries) else network
    assert isinstance(stylizer, SmallStylizer | AdaAttnNetwork | StyleKernelNetwork)
    return stylizer


def trained_files(stylizer: Stylizer) -> dict[str, dict[str, Tensor]]:
    """What training has made, without a frozen encoder, by the field of the method's `weights` that takes the file."""
    if isinstance(stylizer, TrainableVggAdaAttN):
        return stylizer.trained_files()
    if isinstance(stylizer, VggStyleKernel):
        return {"network": stylizer.trained_tensors()}
    return {"weights": dict(stylizer.state_dict())}


def check(name: str, settings: StylizerSettings) -> None:
    """Raise RequestError where a recipe's settings do not go together, before anything is loaded."""
    reasons = {
        f"{name} has no encoder {settings.encoder!r} to train on: write encoder: small": (
            settings.encoder not in NETWORKS[name]
        ),
        "encoder vgg needs encoder_weights: name vgg_normalised.pth, from release v0.0.0 of naoto0804/pytorch-AdaIN": (
            settings.encoder == "vgg" and not settings.encoder_weights
        ),
        "encoder_weights belong to encoder: vgg": settings.encoder == "small" and bool(settings.encoder_weights),
        f"crop: write a multiple of {STRIDE}": settings.crop < STRIDE or settings.crop % STRIDE > 0,
        f"crop: the discriminator of adversarial_weight looks at {SMALLEST_SIDE} pixels or more": (
            settings.adversarial_weight > 0 and settings.crop < SMALLEST_SIDE
        ),
        "ablated belongs to style_kernel: others have no switches": settings.ablated > 0 and name != "style_kernel",
        "every loss is off: give one a weight": not any(settings.weights()),
    }
    for reason, holds in reasons.items():
        if holds:
            raise RequestError(f"recipe: {reason}.")


def start_from(network: nn.Module, tensors: Mapping[str, Tensor], patterns: Sequence[str] = ("*",)) -> None:
    """Give a network the tensors of its own names and shapes that match a pattern; others keep their first values.

    Raises RequestError where there are none.
    """
    own = network.state_dict()
    shared = {
        name: tensor
        for name, tensor in tensors.items()
        if name in own and own[name].shape == tensor.shape and any(fnmatch(name, pattern) for pattern in patterns)
    }
    if not shared:
        raise RequestError(
            "recipe.start and recipe.start_names name no tensor of this network: name weights of a compact one."
        )
    network.load_state_dict({**own, **shared})
