"""The matrix of intended styles as a table whose cells are coloured by classes, as the page forbids inline styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.report.formats import signed_score
from tasks.report.model import IntendedMatrix

# Steps of colour on either side of zero; the strongest is the largest margin of the matrix.
LEVELS = 6
# Margins that round to nothing get no strong colour, even where there are no others.
SMALLEST_SCALE = 0.005


@dataclass(frozen=True)
class Cell:
    """A margin as text, the class of its colour, and what it says in words."""

    text: str
    kind: str
    label: str


@dataclass(frozen=True)
class MatrixChart:
    """What the page shows of a matrix: `rows` are (style asked for, its cells); `scale` is where the colours end."""

    matrix: IntendedMatrix
    rows: Sequence[tuple[str, Sequence[Cell]]]
    scale: float

    @property
    def chance(self) -> float:
        """Share of outputs that would come first by chance."""
        return 1 / len(self.matrix.styles)


def draw_matrix(matrix: IntendedMatrix) -> MatrixChart:
    """Colours by margin, diagonal marked."""
    scale = max(SMALLEST_SCALE, *(abs(margin) for row in matrix.margins for margin in row))
    rows = [
        (style, [_cell(matrix, row, column, scale) for column in range(len(matrix.styles))])
        for row, style in enumerate(matrix.styles)
    ]
    return MatrixChart(matrix, rows, scale)


def _cell(matrix: IntendedMatrix, row: int, column: int, scale: float) -> Cell:
    margin = matrix.margins[row][column]
    kind = f"heat {_level(margin, scale)}{' own' if row == column else ''}"
    text = signed_score(margin)
    return Cell(text, kind, f"Asked for {matrix.styles[row]}, made in {matrix.styles[column]}: {text}")


def _level(margin: float, scale: float) -> str:
    """`above1` to `above6`, `below1` to `below6`, or `level` where the margin is less than half a step."""
    step = round(LEVELS * min(1.0, abs(margin) / scale))
    return "level" if step == 0 else f"{'above' if margin > 0 else 'below'}{step}"
