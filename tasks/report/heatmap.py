"""A similarity matrix as a picture: thumbnails above the columns, texts beside the rows, a value in every cell.

Dimension key: T texts (rows), N images (columns), S side of a thumbnail, C channels (RGB).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tasks.images.fitting import Pixels
from tasks.report.lettering import Lettering

Floats = NDArray[np.float32]
Colour = tuple[int, int, int]

# The report's own colours (style.css.jinja), so that both lie well side by side.
PAPER, INK, SOFT, RULE = (250, 248, 244), (33, 30, 26), (101, 95, 86), (221, 214, 202)
MARK = (163, 50, 31)
# From paper over the report's two blues to a darker one: lighter is always less, in grey too.
SCALE: tuple[Colour, ...] = ((243, 239, 230), (185, 201, 218), (98, 133, 170), (35, 74, 115), (16, 36, 62))
FURTHEST = 2.0  # deviations at which the colours end: 95 % of a normal row lie within

# Lengths in pixels, twice what a plain screen needs, so that the picture stays sharp when enlarged.
CELL_WIDTH, CELL_HEIGHT, GAP, MARGIN = 136, 100, 8, 56
LABELS = 500  # width of the texts
TITLE, NAME, SMALL, VALUE = 44, 28, 22, 30
EVEN = 0.2  # luminance on which ink and paper stand out alike: sqrt(1.0 * 0.06) - 0.05, as WCAG has contrast
LEADING = 1.35
LINE = round(SMALL * LEADING)
NAME_LINES = 2  # under a thumbnail
LEGEND = 320
NARROWEST = 1200


@dataclass(frozen=True)
class Row:
    """A text: its name, and its words where they are others."""

    name: str
    text: str = ""


@dataclass(frozen=True)
class Column:
    """An image: its name, a square thumbnail, its style, the rows of its nearest and of its intended text."""

    name: str
    thumbnail_SSC: Pixels
    style: str = ""
    nearest: int | None = None
    intended: int | None = None


@dataclass(frozen=True)
class Heatmap:
    """What the picture shows: `values_TN` stand in the cells, `shades_TN` (deviations, see `shade`) are colours."""

    title: str
    rows: Sequence[Row]
    columns: Sequence[Column]
    values_TN: Floats
    shades_TN: Floats
    caption: str = ""

    @property
    def words(self) -> list[str]:
        """Everything that is written."""
        rows = [word for row in self.rows for word in (row.name, row.text)]
        columns = [word for column in self.columns for word in (column.name, column.style)]
        return [self.title, self.caption, *rows, *columns]


def shade(values: Floats, means: Floats, deviations: Floats) -> Floats:
    """How many deviations values lie from a mean; 0 where nothing deviates."""
    steady = np.where(deviations > 1e-6, deviations, np.inf)  # cosines of float32 differ by less from rounding alone
    shades: Floats = ((values - means) / steady).astype(np.float32)
    return shades


def draw_heatmap(heatmap: Heatmap) -> bytes:
    """PNG: a dot beside the value of each image's nearest text, a frame around that of its intended one."""
    return _Sheet(heatmap).draw()


class _Sheet:
    """Paper, and where things are on it."""

    def __init__(self, heatmap: Heatmap) -> None:
        self.heatmap, self.lettering = heatmap, Lettering(heatmap.words)
        columns = len(heatmap.columns) * (CELL_WIDTH + GAP) - GAP
        self.width = max(NARROWEST, MARGIN + LABELS + columns + MARGIN)
        self.caption = self.lettering.wrap(heatmap.caption, SMALL, self.width - 2 * MARGIN - LEGEND - 80, lines=12)
        self.names = [self.lettering.wrap(column.name, SMALL, CELL_WIDTH, NAME_LINES) for column in heatmap.columns]
        lines = max(len(name) for name in self.names) + any(column.style for column in heatmap.columns)
        self.pictures = MARGIN + round(TITLE * LEADING) + 24
        self.cells = self.pictures + CELL_WIDTH + 16 + LINE * lines + 14
        self.foot = self.cells + len(heatmap.rows) * (CELL_HEIGHT + GAP) - GAP + 40
        height = self.foot + LINE * max(3, len(self.caption)) + MARGIN
        self.image = Image.new("RGB", (self.width, height), PAPER)
        self.pen = ImageDraw.Draw(self.image)

    def draw(self) -> bytes:
        """Everything, as PNG."""
        title = self.lettering.cut(self.heatmap.title, TITLE, self.width - 2 * MARGIN)
        self._write((MARGIN, MARGIN), title, TITLE, INK, "la")
        for index, column in enumerate(self.heatmap.columns):
            self._draw_head(_left(index), column, self.names[index])
        for index, row in enumerate(self.heatmap.rows):
            self._draw_label(self._top(index), row)
        for row_index in range(len(self.heatmap.rows)):
            for index, column in enumerate(self.heatmap.columns):
                self._draw_cell(row_index, index, column)
        for index, line in enumerate(self.caption):
            self._write((MARGIN, self.foot + index * LINE), line, SMALL, SOFT, "la")
        self._draw_legend(self.width - MARGIN - LEGEND, self.foot)
        file = BytesIO()
        self.image.save(file, "png", optimize=True)
        return file.getvalue()

    def _top(self, row: int) -> int:
        return self.cells + row * (CELL_HEIGHT + GAP)

    def _write(self, place: tuple[float, float], text: str, size: int, colour: Colour, anchor: str) -> None:
        self.pen.text(place, self.lettering.clean(text), colour, self.lettering.font(size), anchor=anchor)

    def _draw_head(self, left: int, column: Column, name: Sequence[str]) -> None:
        picture = Image.fromarray(column.thumbnail_SSC)
        if picture.size != (CELL_WIDTH, CELL_WIDTH):
            picture = picture.resize((CELL_WIDTH, CELL_WIDTH), Image.Resampling.LANCZOS)
        self.image.paste(picture, (left, self.pictures))
        middle, line = left + CELL_WIDTH / 2, self.pictures + CELL_WIDTH + 14
        if column.style:
            style = self.lettering.cut(column.style, SMALL, CELL_WIDTH)
            self._write((middle, line), style, SMALL, INK, "ma")
            line += LINE
        for index, part in enumerate(name):
            self._write((middle, line + index * LINE), part, SMALL, SOFT, "ma")

    def _draw_label(self, top: int, row: Row) -> None:
        """Name and words beside the row, together in the middle of its height."""
        width = LABELS - 36
        name = self.lettering.wrap(row.name, NAME, width, lines=1 if row.text else 2)
        words = self.lettering.wrap(row.text, SMALL, width, lines=2) if row.text else []
        sizes = [(line, NAME, INK) for line in name] + [(line, SMALL, SOFT) for line in words]
        y = top + (CELL_HEIGHT - sum(size * LEADING for _, size, _ in sizes)) / 2
        for line, size, colour in sizes:
            self._write((MARGIN + width, y + size * LEADING / 2), line, size, colour, "rm")
            y += size * LEADING

    def _draw_cell(self, row: int, index: int, column: Column) -> None:
        left, top = _left(index), self._top(row)
        box = left, top, left + CELL_WIDTH - 1, top + CELL_HEIGHT - 1
        fill = colour_of(float(self.heatmap.shades_TN[row, index]))
        ink = INK if _luminance(fill) > EVEN else PAPER
        self.pen.rounded_rectangle(box, 6, fill)
        if column.intended == row:
            self.pen.rounded_rectangle((left - 3, top - 3, box[2] + 3, box[3] + 3), 9, None, MARK, 5)
        middle, height = left + CELL_WIDTH / 2, top + CELL_HEIGHT / 2
        self._write((middle, height), f"{self.heatmap.values_TN[row, index]:.3f}", VALUE, ink, "mm")
        if column.nearest == row:
            self.pen.ellipse((middle - 7, box[3] - 23, middle + 7, box[3] - 9), ink)

    def _draw_legend(self, left: int, top: int) -> None:
        """The colours, from far below a row's mean to far above."""
        for x in range(LEGEND):
            fill = colour_of(FURTHEST * (2 * x / (LEGEND - 1) - 1))
            self.pen.line((left + x, top, left + x, top + 22), fill)
        self.pen.rectangle((left, top, left + LEGEND - 1, top + 22), None, RULE)
        for share, text, anchor in ((0.0, "less", "la"), (0.5, "as a rule", "ma"), (1.0, "more", "ra")):
            self._write((left + share * LEGEND, top + 32), text, SMALL, SOFT, anchor)


def colour_of(deviations: float) -> Colour:
    """Colour for so many deviations from a row's mean; light is low, dark is high."""
    place = (min(max(deviations / FURTHEST, -1.0), 1.0) + 1) / 2 * (len(SCALE) - 1)
    low = min(int(place), len(SCALE) - 2)
    share = place - low
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(SCALE[low], SCALE[low + 1], strict=True))
    return red, green, blue


def _left(column: int) -> int:
    return MARGIN + LABELS + column * (CELL_WIDTH + GAP)


def _luminance(colour: Colour) -> float:
    """Relative luminance, 0 to 1 (Rec. 709 weights on a plain square for the display's curve)."""
    red, green, blue = ((channel / 255) ** 2 for channel in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
