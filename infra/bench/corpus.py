"""The corpus that the benchmarks share: crops of the sample photographs, all 481x321, and the drawn styles."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tasks.samples.photographs import sample_photographs
from tasks.samples.styles import STYLES, write_styles

WIDTH, HEIGHT = 481, 321  # the size of BSDS500's photographs


def write_corpus(folder: Path, count: int) -> Path:
    """Write `count` photographs of equal size, each cut elsewhere; gives their folder."""
    photos = folder / f"photos-{count}"
    photos.mkdir(parents=True, exist_ok=True)
    sources = [Image.fromarray(pixels) for _, pixels in sample_photographs()]
    for index in range(count):
        source = sources[index % len(sources)]
        turn = index // len(sources)
        scale = max(WIDTH / source.width, HEIGHT / source.height) * (1.02 + 0.03 * (turn % 9))
        size = (round(source.width * scale), round(source.height * scale))
        left, top = (size[0] - WIDTH) * (turn % 3) // 2, (size[1] - HEIGHT) * (turn % 2)
        picture = source.resize(size, Image.Resampling.LANCZOS).crop((left, top, left + WIDTH, top + HEIGHT))
        picture.save(photos / f"{index:04d}.jpg", quality=92)
    return photos


def write_art(folder: Path, count: int) -> Path:
    """Write the first `count` drawn styles; gives their folder."""
    art = folder / f"art-{count}"
    write_styles(art, tuple(STYLES)[:count])
    return art
