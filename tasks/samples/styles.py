"""The drawn styles by name: pictures that look like art, made by programs, with no rights of others in them.

Dimension key: H height, W width, C channels (RGB).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tasks.images.encoding import encode
from tasks.images.fitting import Pixels
from tasks.images.settings import ImageSettings
from tasks.samples.painted import dotted_sunset, ink_landscape, swirling_night, woodcut_wave
from tasks.samples.patterned import geometric, halftone_print, mosaic, stained_glass

STYLES: dict[str, Callable[[], Pixels]] = {
    "night": swirling_night,
    "wave": woodcut_wave,
    "glass": stained_glass,
    "mosaic": mosaic,
    "ink": ink_landscape,
    "dots": dotted_sunset,
    "planes": geometric,
    "halftone": halftone_print,
}
# The most different ones, which also show best on photographs.
DEMO_STYLES = ("night", "wave", "glass", "mosaic")


def style_pictures(names: tuple[str, ...] = tuple(STYLES)) -> dict[str, Pixels]:
    """Draw styles by name: uint8 HWC RGB, 576 x 576, the same every time, each in about a second."""
    return {name: STYLES[name]() for name in names}


def write_styles(folder: Path, names: tuple[str, ...] = tuple(STYLES)) -> list[Path]:
    """Draw styles and write them as JPEG files, `<name>.jpg`, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, pixels_HWC in style_pictures(names).items():
        paths.append(folder / f"{name}.jpg")
        paths[-1].write_bytes(encode(pixels_HWC, ImageSettings(quality=95)))
    return paths
