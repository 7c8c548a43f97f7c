"""Owned contents by the million: a temporary database, of which only a few pages are in memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from threading import Lock

import pyarrow as pa

from tasks.corpus.base import Piece

CACHE_KIB = 2**16
# Rows that wait to be written together, and contents whose owned versions are remembered.
WAITING = 2**14
REMEMBERED = 2**13
TABLE = """
CREATE TABLE owned (
    path TEXT NOT NULL, version TEXT NOT NULL, styles INTEGER NOT NULL, bytes INTEGER, modified INTEGER,
    place INTEGER NOT NULL, PRIMARY KEY (path, version)
) WITHOUT ROWID
"""
INSERT = """
INSERT INTO owned VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (path, version) DO UPDATE SET
    styles = CASE WHEN styles = excluded.styles THEN styles ELSE unite(styles, excluded.styles) END,
    bytes = excluded.bytes, modified = excluded.modified, place = excluded.place
"""
FIND = """
SELECT path, version, styles, bytes, modified FROM owned WHERE path IN (SELECT value FROM json_each(?)) ORDER BY place
"""
Row = tuple[str, str, int, int, int, int]
# A version of a content, the styles that own it, and its file's size and time.
OwnedVersion = tuple[str, int, int, int]


class OwnedContents:
    """Single contents by their ids, for threads, too; styles are masks of any length."""

    def __init__(self) -> None:
        # An empty name is a file of SQLite's own, which is gone with the connection.
        self._base = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        for setting in (f"cache_size = -{CACHE_KIB}", "journal_mode = OFF", "synchronous = OFF"):
            self._base.execute(f"PRAGMA {setting}")
        self._base.execute(TABLE)
        self._base.create_function("unite", 2, self._unite)
        self._masks: list[int] = []
        self._numbers: dict[int, int] = {}
        self._place = 0
        self._waiting: list[Row] = []
        self._remembered: dict[str, list[OwnedVersion]] = {}
        self._lock = Lock()

    def add(self, piece: Piece, styles: int) -> None:
        """Own a content for the styles of a mask."""
        with self._lock:
            row = (piece.path, piece.version, self._number(styles), piece.bytes, piece.modified, self._place)
            self._place += 1
            self._waiting.append(row)
            self._remembered.pop(piece.path, None)
            if len(self._waiting) >= WAITING:
                self._write()

    def add_table(self, planned: pa.Table, masks: Sequence[int]) -> None:
        """Own planned contents, given as columns; `masks` are those of the plan's groups."""
        with self._lock:
            self._write()
            numbers = [self._number(mask) for mask in masks]
            columns = [planned[name].to_pylist() for name in ("path", "version", "group", "bytes", "modified")]
            columns[2] = [numbers[group] for group in columns[2]]
            self._insert(zip(*columns, range(self._place, self._place + len(planned)), strict=True))
            self._place += len(planned)

    def find(self, path: str) -> list[OwnedVersion]:
        """The versions of a content that are owned, the newest last."""
        if not self._place:
            return []
        found = self._remembered.get(path)
        return self._look_up([path])[0] if found is None else found

    def look_ahead(self, paths: Sequence[str]) -> None:
        """Look several contents up at once, in a fraction of the time; `find` then knows them."""
        if not self._place:
            return
        unknown = [path for path in paths if path not in self._remembered]
        if unknown:
            self._look_up(unknown)

    def newest(self, path: str) -> Piece | None:
        """The newest version of a content, as a piece."""
        owned = self.find(path)
        if not owned:
            return None
        version, _, size, modified = owned[-1]
        return Piece(path, version, size, modified)

    def _look_up(self, paths: Sequence[str]) -> list[list[OwnedVersion]]:
        with self._lock:
            self._write()
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            found: dict[str, list[OwnedVersion]] = {path: [] for path in paths}
            for path, version, number, size, modified in self._base.execute(FIND, (json.dumps(paths),)):
                found[path].append((version, self._masks[number], size, modified))
            self._remembered |= found
            return list(found.values())

    def _number(self, styles: int) -> int:
        """Masks are as long as there are styles, and few differ: the database holds their numbers."""
        if styles not in self._numbers:
            self._numbers[styles] = len(self._masks)
            self._masks.append(styles)
        return self._numbers[styles]

    def _unite(self, one: int, other: int) -> int:
        return self._number(self._masks[one] | self._masks[other])

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._insert(waiting)

    def _insert(self, rows: Iterable[Row]) -> None:
        self._base.execute("BEGIN")
        self._base.executemany(INSERT, rows)
        self._base.execute("COMMIT")
        self._remembered.clear()
