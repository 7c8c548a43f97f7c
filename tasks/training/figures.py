"""How well a stylizer does, in numbers: nearness to the style and structure kept, on pictures it never saw.

N pairs, C channels, H and W pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from skimage.filters import sobel
from skimage.metrics import structural_similarity
from torch import Tensor

from tasks.losses.perceptual import luminance, moment_distances
from tasks.methods.base import Method, Pairs, Reference, Style
from tasks.training.data import Pictures, centre_square

Features = Callable[[Tensor], list[Tensor]]
Network = Callable[[Tensor, Tensor], Tensor]
PAIRS = 30
SIZE = 256  # pixels; the centred squares of pictures


@dataclass(frozen=True)
class Figures:
    """Means over pairs. `style_distance` is 0 for the style, `structure` and `edges` 1 for the content."""

    style_distance: float
    structure: float  # SSIM of the luminance with the content's (Wang et al. 2004)
    edges: float  # correlation of Sobel magnitudes with the content's
    colours: float  # mean absolute difference of the style's mean colour, in [0, 1]


def measure(
    network: Network, method: Method, photos: Pictures, art: Pictures, features: Features
) -> dict[str, float | dict[str, float]]:
    """Figures of the stylized pictures and of the contents as they are (what doing nothing scores); speed.

    Pair n is photograph n in style n, both lists repeated as needed. `network` takes contents and styles row by row;
    `method` is the same one as it will be used. `features` gives relu1_1 to relu4_1.
    """
    contents_NCHW, styles_NCHW = (take(pictures, PAIRS) for pictures in (photos, art))
    with torch.inference_mode():
        pairs = zip(contents_NCHW.split(1), styles_NCHW.split(1), strict=True)
        outputs_NCHW = torch.cat([network(*pair).clamp(0, 1) for pair in pairs])
        judge = partial(judge_pairs, contents_NCHW, styles_NCHW, features)
        return {
            "pairs": PAIRS,
            "size": SIZE,
            "stylized": rounded(judge(outputs_NCHW)),
            "identity": rounded(judge(contents_NCHW)),
            "renders_per_core_second": measure_speed(method, contents_NCHW, styles_NCHW),
        }


def rounded(figures: Figures) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(figures).items()}


def judge_pairs(contents_NCHW: Tensor, styles_NCHW: Tensor, features: Features, outputs_NCHW: Tensor) -> Figures:
    """Means over the pairs, of outputs in [0, 1]."""
    before, after = (luminance(images.float()).numpy() for images in (contents_NCHW, outputs_NCHW))
    pairs = list(zip(before, after, strict=True))
    difference = outputs_NCHW.mean(dim=(2, 3)) - styles_NCHW.mean(dim=(2, 3))
    return Figures(
        style_distance=style_distance(features(outputs_NCHW), features(styles_NCHW)),
        structure=float(np.mean([structural_similarity(*pair, data_range=1.0) for pair in pairs])),
        edges=float(np.mean([np.corrcoef(*(sobel(image).ravel() for image in pair))[0, 1] for pair in pairs])),
        colours=float(difference.abs().mean()),
    )


def style_distance(outputs: list[Tensor], styles: list[Tensor]) -> float:
    """Differences of means, deviations and covariances, each relative to what two different styles differ by.

    About 1 where the output has the statistics of any other style, 0 where it has the style's own.
    """
    ratios = []
    for output_NCHW, style_NCHW in zip(outputs, styles, strict=True):
        apart = moment_distances(style_NCHW, style_NCHW.roll(1, dims=0))
        near = moment_distances(output_NCHW, style_NCHW)
        ratios += [float(near[term] / apart[term]) for term in apart]
    return float(np.mean(ratios))


def measure_speed(method: Method, contents_NCHW: Tensor, styles_NCHW: Tensor, repeats: int = 8) -> float:
    """Pictures a second of one core's time, encode and render together, one at a time, styles known.

    Of processor time, since training runs share machines.
    """
    reps = method.represent([Style("unseen", (Reference(image_CHW=styles_NCHW[0]),))])
    started = time.process_time()
    for index in range(repeats):
        row = index % len(contents_NCHW)
        method.render(method.encode(contents_NCHW[row : row + 1]), reps, Pairs([0], [0], [0]))
    return round(repeats / (time.process_time() - started), 2)


def take(pictures: Pictures, count: int, size: int = SIZE) -> Tensor:
    """The centred squares of the first `count` pictures, repeated where there are fewer, N3HW in [0, 1]."""
    return torch.stack([centre_square(pictures.images[index % len(pictures)], size) for index in range(count)])
