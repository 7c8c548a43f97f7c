"""The heat map: what is where, whatever the names, the numbers and their count."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tasks.report.heatmap import (
    CELL_HEIGHT,
    FURTHEST,
    GAP,
    MARK,
    PAPER,
    SCALE,
    Column,
    Heatmap,
    Row,
    colour_of,
    draw_heatmap,
    shade,
)
from tasks.report.lettering import Lettering

LONG = "an oil painting with very thick strokes of the brush, " * 12


def heatmap(texts: int = 3, images: int = 4, **given: object) -> Heatmap:
    """Images of one colour each, all cells at the mean."""
    colours = np.linspace(0, 255, max(images, 1)).astype(np.uint8)
    columns = [Column(f"photo-{n}.jpg", np.full((136, 136, 3), (colours[n], 90, 0), np.uint8)) for n in range(images)]
    values = {
        "title": "Text-image similarity",
        "rows": [Row(f"name {t}", "words") for t in range(texts)],
        "columns": columns,
        "values_TN": np.zeros((texts, images), np.float32),
        "shades_TN": np.zeros((texts, images), np.float32),
    }
    return Heatmap(**(values | given))  # type: ignore[arg-type]


def pixels(drawn: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))


def places(drawn: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Rows and columns of the pixels of a colour."""
    return np.argwhere((drawn == colour).all(-1))


def test_thumbnails_stand_above_the_cells_in_order() -> None:
    drawn = pixels(draw_heatmap(heatmap()))
    boxes = [places(drawn, column.thumbnail_SSC[0, 0].tolist()) for column in heatmap().columns]
    assert [len(box) for box in boxes] == [136 * 136] * 4
    lefts = [box[:, 1].min() for box in boxes]
    assert lefts == sorted(lefts)
    assert len({box[:, 0].min() for box in boxes}) == 1
    assert places(drawn, colour_of(0))[:, 0].min() > boxes[0][:, 0].max()


def test_a_cell_is_coloured_by_its_own_deviation() -> None:
    shades = np.zeros((3, 4), np.float32)
    shades[1, 2] = 1.0
    drawn = pixels(draw_heatmap(heatmap(shades_TN=shades)))
    cells = drawn[: drawn.shape[0] - 160]  # the legend below has every colour
    dark = places(cells, colour_of(1.0))
    thumbnail = places(drawn, heatmap().columns[2].thumbnail_SSC[0, 0].tolist())
    assert len(dark) > 5000
    assert (dark[:, 1].min(), dark[:, 1].max()) == (thumbnail[:, 1].min(), thumbnail[:, 1].max())


def test_only_the_intended_cell_is_framed() -> None:
    plain = heatmap()
    framed = Column("a", plain.columns[1].thumbnail_SSC, style="wave", nearest=0, intended=2)
    columns = [plain.columns[0], framed, *plain.columns[2:]]
    assert len(places(pixels(draw_heatmap(plain)), MARK)) == 0
    drawn = pixels(draw_heatmap(heatmap(columns=columns)))
    frame, thumbnail = places(drawn, MARK), places(drawn, framed.thumbnail_SSC[0, 0].tolist())
    assert frame[:, 1].min() == thumbnail[:, 1].min() - 3
    assert frame[:, 1].max() == thumbnail[:, 1].max() + 3
    cells = places(drawn, colour_of(0))
    assert frame[:, 0].min() > (cells[:, 0].min() + cells[:, 0].max()) / 2


def test_every_value_is_written_and_the_nearest_text_has_a_dot() -> None:
    values = np.array([[0.111, 0.222], [-0.333, 0.0]], np.float32)
    base = pixels(draw_heatmap(heatmap(2, 2, values_TN=values)))
    for cell in np.ndindex(2, 2):
        changed = values.copy()
        changed[cell] = 0.888
        assert (pixels(draw_heatmap(heatmap(2, 2, values_TN=changed))) != base).any()
    dotted = [Column(c.name, c.thumbnail_SSC, nearest=1) for c in heatmap(2, 2).columns]
    assert (pixels(draw_heatmap(heatmap(2, 2, values_TN=values, columns=dotted))) != base).any()


@pytest.mark.parametrize(("texts", "images"), [(1, 1), (40, 1), (1, 200), (2, 24)])
def test_any_count_of_texts_and_images_fits_its_paper(texts: int, images: int) -> None:
    drawn = pixels(draw_heatmap(heatmap(texts, images, caption=LONG)))
    for edge in (drawn[:8], drawn[-8:], drawn[:, :8], drawn[:, -8:]):
        assert (edge == PAPER).all()
    thumbnail = heatmap(texts, images).columns[-1].thumbnail_SSC[0, 0].tolist()
    assert len(places(drawn, thumbnail)) == 136 * 136


def test_names_of_any_length_and_script_stay_on_the_paper_and_out_of_the_cells() -> None:
    texts = ["", " ", LONG, "x" * 900, "日本の浮世絵", "a\nb\tc", "\u202e\x00\ud7ff", "é" * 200]
    columns = [Column(text, np.zeros((136, 136, 3), np.uint8), style=text) for text in texts]
    rows = [Row(text or "-", text) for text in texts]
    zeros = np.zeros((len(rows), len(columns)), np.float32)
    wild = heatmap(rows=rows, columns=columns, values_TN=zeros, shades_TN=zeros, title=LONG, caption=LONG)
    drawn = pixels(draw_heatmap(wild))
    assert (drawn[:, :8] == PAPER).all()
    assert (drawn[:, -8:] == PAPER).all()
    left = places(drawn, (0, 0, 0))[:, 1].min()
    top = places(drawn, colour_of(0))[:, 0].min()
    band = drawn[top : top + len(rows) * (CELL_HEIGHT + GAP), left - 12 : left]
    assert (band == PAPER).all()


def test_the_same_heat_map_gives_the_same_bytes() -> None:
    assert draw_heatmap(heatmap()) == draw_heatmap(heatmap())


def test_colours_darken_from_less_to_more_and_end_where_they_end() -> None:
    sums = [sum(colour_of(step)) for step in np.linspace(-FURTHEST, FURTHEST, 50)]
    assert sums == sorted(sums, reverse=True)
    assert (colour_of(-99), colour_of(99)) == (SCALE[0], SCALE[-1])


def test_what_does_not_deviate_has_the_middle_colour() -> None:
    values, means, deviations = np.array([[0.3, 0.3]]), np.array([[0.3]]), np.array([[0.0]])
    assert shade(values, means, deviations).tolist() == [[0, 0]]
    assert shade(np.array([[0.4]]), means, np.array([[0.05]])) == pytest.approx(2)


def test_lines_are_no_wider_than_asked_and_lose_nothing_that_fits() -> None:
    lettering = Lettering([])
    text = "an oil painting of a snow-covered harbour with boats/in_the_morning"
    for width in (60, 120, 300, 2000):
        lines = lettering.wrap(text, 22, width, 99)
        assert max(lettering.font(22).getlength(line) for line in lines) <= width
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    cut = lettering.wrap(text, 22, 120, 2)
    assert len(cut) == 2
    assert cut[1].endswith("...")
    assert lettering.font(22).getlength(cut[1]) <= 120


def test_a_letter_that_the_typeface_lacks_is_written_without_its_accent_or_asked_for() -> None:
    plain = Lettering([])
    assert plain.typeface == ""
    assert plain.clean("étude  日\n本") == "etude ? ?"
