"""What is done to a finished picture before it is given away."""

from __future__ import annotations

from torch import Tensor

from tasks.losses.perceptual import luminance


def raise_contrast(images_NCHW: Tensor, factor: float) -> Tensor:
    """Away from the image's mean luminance by a factor, within [0, 1]; torchvision's `adjust_contrast`.

    The authors do it with 1.5 to what they save (train_CLIPstyler.py, test_fast.py).
    """
    if factor == 1:
        return images_NCHW.clamp(0, 1)
    mean_N111 = luminance(images_NCHW).mean((1, 2))[:, None, None, None]
    return (factor * images_NCHW + (1 - factor) * mean_N111).clamp(0, 1)
