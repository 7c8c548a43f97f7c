"""A report with every section, made of a small picture and of any text, such as a hostile one."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tasks.report.distributions import summarize_scores
from tasks.report.model import (
    FailureReason,
    GalleryCell,
    GalleryRow,
    ReportData,
    RunRow,
    SizeFill,
    StageTime,
    StyleSummary,
    Throughput,
)
from tasks.report.thumbnails import thumbnail

HOSTILE = "\"'><script>alert(1)</script><img src=https://example.org/x onerror=alert(2)>{{ 7 * 7 }}</style>"


@pytest.fixture(scope="session")
def make_png() -> Callable[[int, int], bytes]:
    """Pictures of noise, by width and height."""

    def make(width: int, height: int) -> bytes:
        pixels_HWC = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels_HWC).save(buffer, "PNG")
        return buffer.getvalue()

    return make


@pytest.fixture(scope="session")
def picture(make_png: Callable[[int, int], bytes]) -> bytes:
    return thumbnail(make_png(60, 40), 32)


@pytest.fixture
def hostile() -> str:
    return HOSTILE


@pytest.fixture
def report(picture: bytes) -> ReportData:
    return _report(HOSTILE, picture)


@pytest.fixture
def harmless_report(picture: bytes) -> ReportData:
    return _report("x", picture)


def _report(text: str, picture: bytes) -> ReportData:
    spread = np.random.default_rng(1).normal(0.25, 0.03, 500)
    drawn, few = summarize_scores(spread.tolist()), summarize_scores([0.7, 0.71, None])
    assert drawn is not None
    assert few is not None
    scores = {"clip_text": drawn, "clip_image": few}
    return ReportData(
        title=f"Trial {text}",
        root=f"out/{text}",
        created=f"2026-11-21T09:40:12Z{text}",
        plans=(1, 2),
        facts={f"name {text}": f"value {text}"},
        records=12345,
        failed=67,
        styles=[
            StyleSummary(text, text, text, text, 12000, 60, picture, [text], scores),
            StyleSummary("ink & wash", "adain 1", records=345, failed=7, texts=["black ink"]),
        ],
        gallery=[
            GalleryRow(
                text,
                picture,
                [
                    GalleryCell(text, picture, {text: 0.5, "clip_text": 0.2871, "clip_image": None}),
                    GalleryCell("ink & wash", None, {}, text),
                ],
            )
        ],
        failures=[
            FailureReason("empty_file", "read", 4, "a.jpg", "the file is empty"),
            FailureReason(text, text, 63, text, text),
        ],
        timing=[StageTime("read", 30.5, 8), StageTime("render", 91.25, 1), StageTime("wait", 4.0, 1)],
        throughput=Throughput(123.4, 987.6, 100.0, 3, text, 412_000_000, 1_830_000_000, 0.873),
        sizes=[SizeFill(384, 512, 700, 48, 0.914)],
        runs=[RunRow(1, text, 8000, 3, 201.0), RunRow(2, "2026-11-20", 4345, 64, 33.2)],
        verification=[text],
    )
