"""The similarity matrix: known answers, both ways of retrieval, and files that say the same."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.special import softmax
from torch.nn import functional as F

from tasks.encoders.clip import ClipEncoder
from tasks.scores import matrix as matrix_module
from tasks.scores.matrix import NO_TEXT, SimilarityMatrix
from tasks.scores.retrieval import describe, summarize_intended, summarize_margins, summarize_texts
from tasks.scores.tables import Labels, write_images, write_matrix
from tasks.scores.texts import name_texts

SCALE = 20.0


def directions(count: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.fixture
def texts_5D() -> torch.Tensor:
    return directions(5, 1)


@pytest.fixture
def images_7D() -> torch.Tensor:
    return directions(7, 2)


@pytest.fixture(params=[1 << 22, 10], ids=["one block", "many blocks"])
def matrix(
    texts_5D: torch.Tensor, images_7D: torch.Tensor, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> SimilarityMatrix:
    """With 10 cosines at a time: one text, or two images."""
    monkeypatch.setattr(matrix_module, "BLOCK", request.param)
    return SimilarityMatrix(texts_5D, images_7D, SCALE)


@pytest.fixture
def cosines(texts_5D: torch.Tensor, images_7D: torch.Tensor) -> np.ndarray:
    return texts_5D.double().numpy() @ images_7D.double().numpy().T


def margin(cosines: np.ndarray, text: int, image: int) -> float:
    return float(cosines[text, image] - np.delete(cosines[:, image], text).max())


LABELS = Labels(
    name_texts([(name, [f'words, of "{name}"']) for name in "abcde"]), [f"i{n}.jpg" for n in range(7)], [None] * 7
)


def test_rows_are_cosines_and_a_softmax_over_the_texts_of_each_image(
    matrix: SimilarityMatrix, cosines: np.ndarray
) -> None:
    blocks = list(matrix.rows())
    assert [start for start, *_ in blocks] == list(range(0, 5, 5 // len(blocks)))
    np.testing.assert_allclose(np.concatenate([rows for _, rows, _ in blocks]), cosines, atol=1e-6)
    probabilities = np.concatenate([rows for *_, rows in blocks])
    np.testing.assert_allclose(probabilities, softmax(SCALE * cosines, axis=0), atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)


def test_an_image_retrieves_its_nearest_texts_with_margins_to_the_best_other(
    matrix: SimilarityMatrix, cosines: np.ndarray
) -> None:
    found = matrix.nearest_texts(3)
    assert found.texts_NK.tolist() == np.argsort(-cosines, 0)[:3].T.tolist()
    for image, row in enumerate(found.texts_NK):
        expected = [margin(cosines, text, image) for text in row]
        np.testing.assert_allclose(found.margins_NK[image], expected, atol=1e-6)
        assert expected[0] > 0 > expected[1] > expected[2]
        np.testing.assert_allclose(found.probabilities_NK[image], softmax(SCALE * cosines[:, image])[row], atol=1e-5)


def test_a_text_retrieves_its_nearest_images_with_their_lift(matrix: SimilarityMatrix, cosines: np.ndarray) -> None:
    found = matrix.nearest_images(4)
    assert found.images_TK.tolist() == np.argsort(-cosines, 1)[:, :4].tolist()
    for text, row in enumerate(found.images_TK):
        np.testing.assert_allclose(found.margins_TK[text], [margin(cosines, text, n) for n in row], atol=1e-6)
        np.testing.assert_allclose(found.lifts_TK[text], cosines[text, row] - cosines[text].mean(), atol=1e-6)


def test_the_rank_of_the_intended_text_counts_those_that_are_nearer(
    matrix: SimilarityMatrix, cosines: np.ndarray
) -> None:
    wanted_N = np.array([0, 1, 2, 3, 4, 0, NO_TEXT])
    found = matrix.intended(wanted_N)
    expected = [int((cosines[:, n] > cosines[text, n]).sum()) + 1 for n, text in enumerate(wanted_N[:6])]
    assert found.ranks_N.tolist() == [*expected, 0]
    assert len(set(expected)) > 2
    np.testing.assert_allclose(
        found.margins_N[:6], [margin(cosines, t, n) for n, t in enumerate(wanted_N[:6])], atol=1e-6
    )
    assert ((found.margins_N > 0) == (found.ranks_N == 1)).all()
    assert np.isnan([found.margins_N[6], found.probabilities_N[6]]).all()


def test_more_is_not_retrieved_than_there_is(matrix: SimilarityMatrix) -> None:
    assert matrix.nearest_texts(99).texts_NK.shape == (7, 5)
    assert matrix.nearest_images(99).images_TK.shape == (5, 7)


def test_one_text_has_no_margin_and_is_certain(texts_5D: torch.Tensor, images_7D: torch.Tensor) -> None:
    matrix = SimilarityMatrix(texts_5D[:1], images_7D, SCALE)
    found = matrix.nearest_texts(5)
    assert np.isnan(found.margins_NK).all()
    np.testing.assert_allclose(found.probabilities_NK, 1, atol=1e-6)
    assert np.isnan(matrix.nearest_images(2).margins_TK).all()
    assert summarize_margins(found) == {"p05": None, "median": None, "p95": None}


def test_the_summary_holds_no_raw_cosine_and_counts_intended_texts(
    matrix: SimilarityMatrix, cosines: np.ndarray
) -> None:
    wanted_N = np.argmax(cosines, 0)
    wanted_N[0] = (wanted_N[0] + 1) % 5  # one image that its style did not reach
    wanted_N[6] = NO_TEXT
    nearest, retrieved, intended = matrix.nearest_texts(2), matrix.nearest_images(3), matrix.intended(wanted_N)
    found = summarize_intended(LABELS, nearest, retrieved, intended)
    assert (found["images"], found["without"], found["chance"]) == (6, 1, 0.2)
    assert found["first"] == pytest.approx(5 / 6)
    assert found["mean_rank"] == pytest.approx((5 + intended.ranks_N[0]) / 6)
    assert sum(style["images"] for style in found["styles"]) == 6
    for style in found["styles"]:
        row = "abcde".index(style["style"])
        top = np.argsort(-cosines[row])[:3]
        assert style["precision"] == pytest.approx((wanted_N[top] == row).mean())
    texts = summarize_texts(LABELS, nearest, retrieved)
    assert sum(text["nearest_share"] for text in texts) == pytest.approx(1)
    assert set(texts[0]["images"][0]) == {"image", "margin", "lift"}
    json.dumps([found, texts], allow_nan=False)


def test_without_intended_texts_there_is_nothing_to_say_of_them(matrix: SimilarityMatrix) -> None:
    intended = matrix.intended(np.full(7, NO_TEXT))
    assert summarize_intended(LABELS, matrix.nearest_texts(2), matrix.nearest_images(2), intended) is None


def test_csv_has_a_row_a_text_and_a_column_an_image(
    matrix: SimilarityMatrix, cosines: np.ndarray, tmp_path: Path
) -> None:
    assert write_matrix(tmp_path, matrix, LABELS, "csv") == ["similarity.csv", "probability.csv"]
    for name, expected in (("similarity", cosines), ("probability", softmax(SCALE * cosines, axis=0))):
        with open(tmp_path / f"{name}.csv", newline="") as file:
            header, *rows = csv.reader(file)
        assert header == ["name", "text", *LABELS.images]
        assert [row[:2] for row in rows] == [[text.name, text.text] for text in LABELS.texts]
        np.testing.assert_allclose(np.array([row[2:] for row in rows], float), expected, atol=1e-5)


def test_parquet_has_a_row_for_each_text_and_image(
    matrix: SimilarityMatrix, cosines: np.ndarray, tmp_path: Path
) -> None:
    assert write_matrix(tmp_path, matrix, LABELS, "parquet") == ["similarity.parquet"]
    frame = pq.read_table(tmp_path / "similarity.parquet").to_pandas()
    wide = frame.pivot(index="name", columns="image", values="cosine")
    assert (list(wide.index), list(wide.columns)) == (list("abcde"), list(LABELS.images))
    np.testing.assert_allclose(wide.to_numpy(), cosines, atol=1e-6)
    np.testing.assert_allclose(frame.groupby("image", observed=True).probability.sum(), 1, atol=1e-5)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_images_have_a_row_each_and_nulls_where_nothing_is_intended(
    matrix: SimilarityMatrix, tmp_path: Path, form: str
) -> None:
    import pandas

    labels = Labels(LABELS.texts, LABELS.images, ["a"] * 6 + [None])
    intended = matrix.intended(np.array([0] * 6 + [NO_TEXT]))
    name = write_images(tmp_path, labels, matrix.nearest_texts(2), intended, form)  # type: ignore[arg-type]
    frame = getattr(pandas, f"read_{form}")(tmp_path / name)
    assert list(frame.image) == list(LABELS.images)
    assert list(frame.intended_rank[:6]) == intended.ranks_N[:6].tolist()
    assert frame.iloc[6][["style", "intended_rank", "intended_margin"]].isna().all()
    assert set(frame.columns) >= {"text_1", "margin_1", "probability_1", "text_2"}


def test_the_scale_is_the_models_own(encoder: ClipEncoder) -> None:
    assert encoder.logit_scale == pytest.approx(1 / 0.07, rel=1e-4)  # where open_clip's training starts


def test_a_summary_reads_as_sentences(matrix: SimilarityMatrix) -> None:
    nearest, retrieved = matrix.nearest_texts(2), matrix.nearest_images(2)
    intended = matrix.intended(np.zeros(7, dtype=np.int64))
    skipped = [
        {"image": f"bad{n}.jpg", "reason": "truncated", "message": "the picture ends too early"} for n in range(14)
    ]
    said = describe(
        {
            "images": 7,
            "clip": "small",
            "temperature": 0.05,
            "output": "out",
            "skipped": skipped,
            "texts": summarize_texts(LABELS, nearest, retrieved),
            "intended": summarize_intended(LABELS, nearest, retrieved, intended),
        }
    )
    assert "7 images x 5 texts, small (temperature 0.05): out" in said
    assert "a: intended text first in" in said
    assert "Skipped bad11.jpg: the picture ends too early (truncated)" in said
    assert "and 2 more skipped" in said
