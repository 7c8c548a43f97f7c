"""A report with every section, made of a small picture and of any text, such as a hostile one."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image

from tasks.report.distributions import Spread
from tasks.report.model import (
    Arrivals,
    Extremes,
    FailureReason,
    GalleryCell,
    GalleryRow,
    IntendedMatrix,
    InvertedPart,
    PathStop,
    ReportData,
    RunRow,
    ScoredRecord,
    ScoreSummary,
    SizeFill,
    StageTime,
    StepPlace,
    StylePath,
    StyleReference,
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


def summarize(values: Sequence[float]) -> ScoreSummary:
    spread = Spread()
    spread.add(np.asarray(values))
    summary = spread.summary()
    assert summary is not None
    return summary


def _matrix(text: str, role: str) -> IntendedMatrix:
    margins = [[0.0412, -0.0213], [-0.0008, 0.0002]]
    return IntendedMatrix(role, text, [text, "ink & wash"], margins, [0.75, 0.25], [12, 8])


def _matrix_of_path(text: str) -> IntendedMatrix:
    margins = [[0.0412, 0.0111, -0.0213], [0.0, 0.0, 0.0], [-0.0008, -0.0005, 0.0002]]
    return IntendedMatrix("judge", "other", [text, "between", "ink & wash"], margins, [0.75, 0.5, 0.25], [12, 4, 8])


def _path(text: str, picture: bytes) -> StylePath:
    cells = [GalleryCell(text, picture), GalleryCell("between", None, {}, text), GalleryCell("ink & wash", None)]
    stops = [PathStop(text, 0.0), PathStop("between", 0.25), PathStop("ink & wash", 1.0)]
    return StylePath(stops, [GalleryRow(text, picture, cells)], 3)


def _report(text: str, picture: bytes) -> ReportData:
    spread = np.random.default_rng(1).normal(0.25, 0.03, 500)
    scores = {"clip_text": summarize(spread), "clip_image": summarize([0.7, 0.71])}
    references = [
        StyleReference(0.6, image=picture, place=f"{text}.parquet#row=3"),
        StyleReference(0.3, text=text, painted=picture),
        StyleReference(0.1),
    ]
    return ReportData(
        title=f"Trial {text}",
        root=f"out/{text}",
        created=f"2026-11-21T09:40:12Z{text}",
        plans=(1, 2),
        facts={f"name {text}": f"value {text}"},
        records=12345,
        failed=67,
        styles=[
            StyleSummary(text, text, text, text, 12000, 60, references, 4, scores),
            StyleSummary("ink & wash", "adain 1", records=345, failed=7, references=[StyleReference(text="black ink")]),
            StyleSummary("halves", "mmist", inverted=[InvertedPart([picture], 20, text)], renderer=text),
            StyleSummary("between", "mmist", step=StepPlace(text, "ink & wash", 0.25)),
        ],
        score_model=text,
        scored_by_others=34,
        arrivals=Arrivals([_matrix(text, "scorer"), _matrix_of_path(text)], 5, [text]),
        extremes=Extremes(
            "clip_text",
            [ScoredRecord(text, text, picture, {"clip_text": 0.3519, "clip_image": None})],
            [ScoredRecord("worst.jpg", "ink & wash", None, {"clip_text": 0.1123})],
        ),
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
        paths=[_path(text, picture)],
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
