"""A similarity matrix as files, written a block of texts at a time: CSV for people, Parquet for programs.

Dimension key: T texts, N images, K retrieved; t texts of a block.

CSV has the matrix's own shape, `similarity.csv` and `probability.csv`: a row a text, a column an image. A Parquet
file with a column an image would be mostly footer, so `similarity.parquet` is long: a row for each text and image.
Both have `images`, a row an image, with its nearest texts and the rank of the intended one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tasks.scores.matrix import Floats, Intended, Nearest, SimilarityMatrix
from tasks.scores.texts import NamedText

Format = Literal["csv", "parquet"]

LONG_SCHEMA = pa.schema(
    [
        ("name", pa.dictionary(pa.int32(), pa.string())),
        ("text", pa.dictionary(pa.int32(), pa.string())),
        ("image", pa.dictionary(pa.int32(), pa.string())),
        ("cosine", pa.float32()),
        ("probability", pa.float32()),
    ]
)


@dataclass(frozen=True)
class Labels:
    """What rows and columns are: texts, images by name, and their styles where they have any."""

    texts: Sequence[NamedText]
    images: Sequence[str]
    styles: Sequence[str | None]


def write_matrix(folder: Path, matrix: SimilarityMatrix, labels: Labels, form: Format) -> list[str]:
    """Write the cosines and probabilities; gives the names of the files."""
    if form == "parquet":
        return [_write_long(folder / "similarity.parquet", matrix, labels)]
    return _write_wide(folder, matrix, labels)


def write_images(folder: Path, labels: Labels, nearest: Nearest, intended: Intended, form: Format) -> str:
    """Write a row an image: style, nearest texts with margin and probability, where the intended text stands.

    Numbers of an image without an intended text are null, as are margins where there is one text alone.
    """
    table = _images_table(labels, nearest, intended)
    path = folder / f"images.{form}"
    if form == "parquet":
        pq.write_table(table, path, compression="zstd")
    else:
        pa_csv.write_csv(table, path)
    return path.name


def _write_wide(folder: Path, matrix: SimilarityMatrix, labels: Labels) -> list[str]:
    names = ["similarity.csv", "probability.csv"]
    with (
        open(folder / names[0], "w", newline="", encoding="utf-8") as similarity,
        open(folder / names[1], "w", newline="", encoding="utf-8") as probability,
    ):
        writers = csv.writer(similarity), csv.writer(probability)
        for writer in writers:
            writer.writerow(["name", "text", *labels.images])
        for text, cosines_N, probabilities_N in _text_rows(matrix, labels):
            # A float32 cosine has six digits to trust; a probability may be very small.
            writers[0].writerow([text.name, text.text, *(f"{value:.6f}" for value in cosines_N)])
            writers[1].writerow([text.name, text.text, *(f"{value:.6g}" for value in probabilities_N)])
    return names


def _text_rows(matrix: SimilarityMatrix, labels: Labels) -> Iterator[tuple[NamedText, Floats, Floats]]:
    for start, cosines_tN, probabilities_tN in matrix.rows():
        for row, (cosines_N, probabilities_N) in enumerate(zip(cosines_tN, probabilities_tN, strict=True), start):
            yield labels.texts[row], cosines_N, probabilities_N


def _write_long(path: Path, matrix: SimilarityMatrix, labels: Labels) -> str:
    names, texts = ([getattr(text, field) for text in labels.texts] for field in ("name", "text"))
    images = len(labels.images)
    with pq.ParquetWriter(path, LONG_SCHEMA, compression="zstd") as writer:
        for start, cosines_tN, probabilities_tN in matrix.rows():
            rows = np.repeat(np.arange(start, start + len(cosines_tN), dtype=np.int32), images)
            columns = np.tile(np.arange(images, dtype=np.int32), len(cosines_tN))
            arrays = [
                _labelled(rows, names),
                _labelled(rows, texts),
                _labelled(columns, labels.images),
                pa.array(cosines_tN.ravel()),
                pa.array(probabilities_tN.ravel()),
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=LONG_SCHEMA))
    return path.name


def _labelled(indices: np.ndarray[Any, np.dtype[np.int32]], labels: Sequence[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(list(labels), pa.string()))


def _images_table(labels: Labels, nearest: Nearest, intended: Intended) -> pa.Table:
    names = [text.name for text in labels.texts]
    none_N = ~intended.known_N
    columns: dict[str, pa.Array] = {
        "image": pa.array(list(labels.images), pa.string()),
        "style": pa.array(list(labels.styles), pa.string()),
        "intended_rank": pa.array(intended.ranks_N, mask=none_N),
        "intended_margin": _nullable(intended.margins_N),
        "intended_probability": _nullable(intended.probabilities_N),
    }
    for place in range(nearest.texts_NK.shape[1]):
        columns |= {
            f"text_{place + 1}": pa.array([names[index] for index in nearest.texts_NK[:, place]], pa.string()),
            f"margin_{place + 1}": _nullable(nearest.margins_NK[:, place]),
            f"probability_{place + 1}": _nullable(nearest.probabilities_NK[:, place]),
        }
    return pa.table(columns)


def _nullable(values_N: Floats) -> pa.Array:
    return pa.array(np.ascontiguousarray(values_N), mask=np.isnan(values_N))
