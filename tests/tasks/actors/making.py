"""Photographs, damaged files, styles and orders for tests of the actors."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from tasks.actors.loaded import Loaded
from tasks.actors.orders import ActorSettings, ShardOrder
from tasks.actors.shard import stylize_shard
from tasks.corpus import open_corpus
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.footer import ShardFooter
from tasks.images.settings import ImageSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.style_settings import ReferenceSettings, StyleSettings
from tasks.styles import PlannedStyle, plan_style

Pair = tuple[str, str]

# Lossless, so that two runs can be compared pixel by pixel.
IMAGES = ImageSettings(size=64, codec="png")


def photograph(width: int, height: int, seed: int) -> Image.Image:
    """Soft shapes in colour; another seed, another picture."""
    values_HWC = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(values_HWC).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, codec: str = "jpeg", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, codec, **options)
    return file.getvalue()


def write_photographs(folder: Path, count: int, first: int = 0) -> Path:
    """`p00.jpg`, `p01.jpg`, ...: three sizes, upright and lying."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [(96, 64), (64, 96), (80, 80)]
    for index in range(first, first + count):
        data = encoded(photograph(*sizes[index % 3], seed=index), quality=95)
        (folder / f"p{index:02d}.jpg").write_bytes(data)
    return folder


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 3 600 million pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def damaged_files() -> dict[str, tuple[bytes, str]]:
    """Files that are no pictures, each with the reason that its records must give."""
    jpeg = encoded(photograph(96, 64, seed=99), quality=95)
    png = bytearray(encoded(photograph(96, 64, seed=98), "png"))
    png[len(png) // 2 :] = bytes(len(png) - len(png) // 2)
    return {
        "bomb.png": (bomb(), "too_large"),
        "corrupt.png": (bytes(png), "corrupt"),
        "empty.jpg": (b"", "empty_file"),
        "text.jpg": (b"these are words and no picture at all", "not_an_image"),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
    }


def write_style_pictures(folder: Path) -> Path:
    """Two unlike pictures: `bars.png` and `blots.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    bars = np.zeros((48, 64, 3), np.uint8)
    bars[:, ::8] = (250, 200, 20)
    Image.fromarray(bars).save(folder / "bars.png")
    photograph(72, 56, seed=7).save(folder / "blots.png")
    return folder


def plan_styles(art: Path, **settings: float) -> tuple[PlannedStyle, ...]:
    """A style for each picture in a folder."""
    method = AdainSettings(**settings)
    return tuple(
        plan_style(StyleSettings(name=path.stem, references=(ReferenceSettings(image=str(path)),)), method)
        for path in sorted(art.iterdir())
    )


def make_order(
    corpus: Path, styles: tuple[PlannedStyle, ...], images: ImageSettings = IMAGES, shard: int = 0
) -> ShardOrder:
    """All of a corpus as one shard."""
    settings = CorpusSettings(uri=str(corpus))
    pieces = tuple(open_corpus(settings).pieces({}))
    return ShardOrder(1, shard, "digest", settings, images, 0, styles, pieces)


def load(output: Path, **settings: object) -> Loaded:
    values = {"output": str(output), "store": f"{output}/representations", "clip": "none"} | settings
    return Loaded(ActorSettings(**values))  # type: ignore[arg-type]


def stylize(loaded: Loaded, order: ShardOrder) -> ShardFooter:
    return stylize_shard(loaded, order, lambda *_: None)


def records(output: Path) -> list[dict[str, object]]:
    return pq.read_table(output / "data" / "00001-00000.parquet").to_pylist()


def failures(output: Path) -> list[dict[str, object]]:
    return pq.read_table(output / "failures" / "00001-00000.parquet").to_pylist()


def pixels(output: Path) -> dict[Pair, np.ndarray]:
    return {
        (str(row["content_id"]), str(row["style"])): np.asarray(Image.open(BytesIO(row["image"]["bytes"]))).astype(int)  # type: ignore[index]
        for row in records(output)
    }


def furthest(ours: dict[Pair, np.ndarray], theirs: dict[Pair, np.ndarray]) -> int:
    assert ours.keys() == theirs.keys()
    return max(int(np.abs(ours[pair] - theirs[pair]).max()) for pair in ours)
