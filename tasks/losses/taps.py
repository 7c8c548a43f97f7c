"""One loss over features by the name of their tap: which taps, each one's weight, and what is compared there.

N images, C channels, H and W pixels. Training, optimisation of single pictures and evaluation use it alike:
`loss(extractor(outputs), extractor(targets))`, with any `tasks.encoders.taps.Extractor`, is one value for each image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.encoders.statistics import channel_statistics, normalise_channels
from tasks.losses.gram import gatys_losses, johnson_losses

Features = Mapping[str, Tensor]


def content_losses(outputs_NCHW: Tensor, contents_NCHW: Tensor) -> Tensor:
    """N: mean squared difference (Johnson et al., ECCV 2016, equation 2; CLIPstyler, AdaIN)."""
    return (outputs_NCHW.float() - contents_NCHW.float()).square().mean((1, 2, 3))


def normalised_losses(outputs_NCHW: Tensor, contents_NCHW: Tensor) -> Tensor:
    """N: the same of features whose channels have mean 0 and deviation 1, so that colour and contrast are free."""
    return content_losses(normalise_channels(outputs_NCHW), normalise_channels(contents_NCHW))


def moment_losses(outputs_NCHW: Tensor, styles_NCHW: Tensor) -> Tensor:
    """N: mean squared differences of the channels' means and deviations, added up (AdaIN, equation 13)."""
    pairs = zip(channel_statistics(outputs_NCHW), channel_statistics(styles_NCHW), strict=True)
    return torch.stack([(output_NC - style_NC).square().mean(1) for output_NC, style_NC in pairs]).sum(0)


KINDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "content": content_losses,
    "normalised": normalised_losses,
    "moments": moment_losses,
    "gatys": gatys_losses,
    "johnson": johnson_losses,
}


@dataclass(frozen=True)
class TapLoss:
    """A weighted sum over taps of one kind of loss (a name in KINDS).

    Outputs and targets must hold every tap that has a weight (KeyError); both may hold more. Targets of one image
    serve any number of outputs; kinds that compare style take targets of any size.
    """

    kind: str
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not self.weights:
            raise ValueError(f"a loss over taps needs taps, and a kind out of {', '.join(KINDS)}; not {self.kind}")

    def __call__(self, outputs: Features, targets: Features) -> Tensor:
        """N: the weighted sum."""
        terms = self.terms(outputs, targets)
        return torch.stack([self.weights[tap] * term_N for tap, term_N in terms.items()]).sum(0)

    def terms(self, outputs: Features, targets: Features) -> dict[str, Tensor]:
        """The losses_N of each tap, without its weight."""
        return {tap: KINDS[self.kind](outputs[tap], targets[tap]) for tap in self.weights}


# train_CLIPstyler.py. It calls them conv4_2 and conv5_2, yet its maps are those after the ReLU, which works in place.
CLIPSTYLER_CONTENT = TapLoss("content", {"relu4_2": 1.0, "relu5_2": 1.0})
