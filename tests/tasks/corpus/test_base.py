"""Pieces of corpora, whatever they are pieces of."""

from __future__ import annotations

from tasks.corpus.base import Piece


def test_a_piece_knows_its_file() -> None:
    assert Piece("a#0.jpg", "v", 1, 2).file == "a#0.jpg"
    assert Piece("t.parquet", "v", 1, 2, 7, 2).file == "t.parquet"
    assert Piece("t.txt#12", "v", 1, 0, 12).file == "t.txt"
