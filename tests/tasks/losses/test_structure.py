"""What counts as keeping a content's shades."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from tasks.losses.perceptual import luminance, structure_losses


def test_shades_are_kept_lost_or_turned_about() -> None:
    content_1CHW = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    grey_1CHW = luminance(content_1CHW)[:, None].expand(-1, 3, -1, -1)
    images = torch.cat(
        [content_1CHW, grey_1CHW, content_1CHW + 0.3, content_1CHW * 0.3, torch.full_like(content_1CHW, 0.5)]
    )
    losses = structure_losses(images, content_1CHW.expand(5, -1, -1, -1))
    assert_close(losses[:3], torch.zeros(3), atol=0.02, rtol=0)
    assert 0.3 < losses[3] < 0.7
    assert_close(losses[4], torch.tensor(1.0), atol=1e-4, rtol=0)
    assert structure_losses(1 - content_1CHW, content_1CHW) > 1.9


def test_a_flat_content_gives_a_finite_gradient() -> None:
    output_1CHW = torch.full((1, 3, 8, 8), 0.5, requires_grad=True)
    structure_losses(output_1CHW, torch.full((1, 3, 8, 8), 0.2)).sum().backward()
    assert output_1CHW.grad is not None
    assert torch.isfinite(output_1CHW.grad).all()
