"""Where in a content each reference of a composite style counts, as methods use it: weights at every position.

P outputs, R references, C channels, H and W of a content or a feature map, h and w of the padded content.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.images.padding import pad_to_stride
from tasks.methods.base import Pairs


def weigh_positions(
    weights_R: Tensor, regions: Sequence[Tensor | None], size: tuple[int, int], stride: int, device: torch.device
) -> Tensor:
    """Weights of a style's references for outputs of one size, which sum to 1 over R.

    1R11, the weights themselves, where no output has regions; 1Rhw where all share theirs; else PRhw.
    """
    weights_R11 = weights_R.to(device)[:, None, None]
    distinct = list({id(shares): shares for shares in regions}.values())
    if not any(shares is not None for shares in distinct):
        return weights_R11[None]
    chosen = distinct if len(distinct) == 1 else list(regions)
    everywhere_RHW = weights_R11.expand(-1, *size)
    shares = [everywhere_RHW if shares_RHW is None else shares_RHW.to(device) for shares_RHW in chosen]
    return pad_to_stride(torch.stack(shares), stride)


def rows_of(weights_PRhw: Tensor, rows: slice) -> Tensor:
    """Weights of some of the outputs; those that all share stay as they are."""
    return weights_PRhw if len(weights_PRhw) == 1 else weights_PRhw[rows]


def shrink_weights(weights_PRhw: Tensor, size: tuple[int, int]) -> Tensor:
    """The weights at the positions of a feature map, means over what each covers; PR11 spreads."""
    return F.adaptive_avg_pool2d(weights_PRhw, size)


def render_apart(pairs: Pairs, plain: Callable[[Pairs], Tensor], composite: Callable[[Pairs], Tensor]) -> Tensor:
    """Images_PCHW of pairs, those that have regions rendered by `composite`, the others by `plain`."""
    composites = pairs.composites()
    if len(composites) in (0, len(pairs)):
        return composite(pairs) if composites else plain(pairs)
    others = sorted(set(range(len(pairs))) - set(composites))
    images_PCHW = torch.cat([composite(pairs.pick(composites)), plain(pairs.pick(others))])
    return images_PCHW[torch.tensor(composites + others).argsort().to(images_PCHW.device)]


def find_counting(shares_RHW: Tensor) -> list[int]:
    """Numbers of the references that count anywhere."""
    return [reference for reference, most in enumerate(shares_RHW.amax((1, 2)).tolist()) if most > 0]


def blend_pictures(render: Callable[[int], Tensor], shares_PRHW: Tensor) -> Tensor:
    """Whole pictures_PCHW, rendered once for each reference by its number, mixed by their shares.

    For a method that cannot look at one position differently from another. One picture more is in memory than one
    alone takes; where a reference counts nowhere it is not rendered.
    """
    parts = (render(r) * shares_PRHW[:, r, None] for r in find_counting(shares_PRHW.amax(0)))
    mixed_PCHW = next(parts)
    for part_PCHW in parts:
        mixed_PCHW = mixed_PCHW + part_PCHW
    return mixed_PCHW
