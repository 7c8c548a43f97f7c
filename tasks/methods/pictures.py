"""The pictures that a style is made of, on a device: its own, or painted for its texts.

H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.methods.base import Reference, Style
from tasks.methods.text_settings import TextSettings
from tasks.samples.photographs import neutral_photographs

Stylize = Callable[[Tensor, Tensor], Tensor]


class Pictures:
    """Loads the pictures of references, at most `style_size` pixels on their longest side; paints those of texts.

    `stylize` gives contents_NCHW in the style of pictures_NCHW, row by row; gradients pass to the pictures.
    """

    def __init__(self, style_size: int, texts: TextSettings, stylize: Stylize, device: torch.device) -> None:
        self.style_size, self.texts, self.stylize, self.device = style_size, texts, stylize, device
        self.painted: dict[str, Tensor] = {}  # by text

    def load(self, reference: Reference) -> Tensor:
        """The picture of a reference on the device, 3HW in [0, 1]; a text's painted one, if `paint` made it."""
        if reference.image_CHW is None:
            assert reference.text is not None  # a reference is one or the other (tasks/styles.py)
            return self.painted[reference.text]
        return fit_picture(reference.image_CHW.to(self.device), self.style_size)

    def paint(self, styles: Sequence[Style]) -> None:
        """Paint pictures for the texts of styles that have none yet, all of them together."""
        texts = [reference.text for style in styles for reference in style.references if reference.text]
        missing = [text for text in dict.fromkeys(texts) if text not in self.painted]
        if not missing:
            return
        # Only here: open_clip takes seconds to import, and styles of pictures need none of it.
        from tasks.encoders.clip import open_clip_model
        from tasks.methods.text_pictures import paint_texts

        with torch.inference_mode(False):
            encoder = open_clip_model(self.texts.clip, str(self.device))
            pictures_T3SS = paint_texts(missing, self.stylize, encoder, neutral_photographs(), self.texts)
        self.painted |= dict(zip(missing, pictures_T3SS, strict=True))

    def kept(self, style: Style) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Painted pictures as a representation keeps them: `painted<k>` (uint8, 3HW) for reference k, and its text."""
        texts = {f"painted{k}": r.text for k, r in enumerate(style.references) if r.text is not None}
        return {name: to_bytes(self.painted[text]) for name, text in texts.items()}, texts


def fit_picture(picture_3HW: Tensor, longest: int) -> Tensor:
    """The picture with at most that many pixels on its longest side; never enlarged."""
    scale = longest / max(picture_3HW.shape[1:])
    if scale >= 1:
        return picture_3HW
    size = [max(1, round(side * scale)) for side in picture_3HW.shape[1:]]
    return F.interpolate(picture_3HW[None], size, mode="bilinear", antialias=True)[0].clamp_(0, 1)


def to_bytes(picture_3HW: Tensor) -> Tensor:
    """Eight bits a colour, on the CPU, as in the picture's file."""
    return picture_3HW.mul(255).round_().clamp_(0, 255).to(torch.uint8).cpu()


def from_bytes(picture_3HW: Tensor) -> Tensor:
    """The inverse of `to_bytes`: float32 in [0, 1]."""
    return picture_3HW.float().div_(255)
