"""Tables and files of prompts that strangers wrote: entries, failed entries, or one sentence."""

from __future__ import annotations

import io
import json
import random
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.corpus import open_corpus
from tasks.corpus.settings import CorpusSettings
from tasks.records import RequestError, record_schema
from tests.fuzz.mutations import mutate
from tests.fuzz.sandbox import Check

SUFFIXES = (".txt", ".csv", ".jsonl", ".parquet")
MAX_ENTRIES = 3000  # read of one file
LINES: dict[str, list[bytes]] = {
    ".txt": [b"a boat\na red house\n\n  a tree \n", b"\xef\xbb\xbfone\r\ntwo\r\n", "ein Baum, 木\n".encode() * 50],
    ".csv": [b'prompt,label\na boat,1\n"a, b",2\n', b"id,prompt\n" + b'7,"a\nb"\n' * 40],
    ".jsonl": [
        b'{"prompt": "a boat", "label": 3}\n{"prompt": "b", "label": 4}\n',
        b'{"prompt": "x", "score": 0.5, "ok": true, "tags": ["a", {"b": null}]}\n' * 30,
    ],
}
BOMBS: dict[str, list[bytes]] = {
    ".txt": [
        b"x" * 2**20,
        b"\0" * 1000,
        b"\xff\xfe" + b"a\0" * 50,
        b"\n" * 10**5,
        b"\x1b[2J\n" * 10,
        b"\xed\xa0\x80\n",
    ],
    ".csv": [b'prompt\n"' + b"a\n" * 10**5, b"prompt," + b"," * 10**5, b"prompt,prompt\n1,2\n", b"prompt\n" + b"\0\n"],
    ".jsonl": [
        b'{"prompt": ' + b"[" * 10**5,
        b'{"prompt": "x", "n": ' + b"9" * 5000 + b"}\n",
        b'{"prompt": "x", "n": 1e999}\n{"prompt": "x", "n": NaN}\n',
        b'{"prompt": "\\ud800", "\\u0000": "\\u0000"}\n',
        json.dumps({"prompt": "x", **{f"c{i}": i for i in range(5000)}}).encode() + b"\n",
    ],
}


def make_tables() -> list[bytes]:
    """Small Parquet files of pictures and of prompts, with the codecs and encodings that writers use."""
    rows = 40
    pictures = pa.table(
        {
            "image": pa.array([{"bytes": bytes([i]) * 50, "path": f"{i}.jpg"} for i in range(rows)]),
            "label": pa.array([i % 3 for i in range(rows)]).dictionary_encode(),
            "boxes": pa.array([[[0.5, float(i)]] * (i % 3) for i in range(rows)]),
            "when": pa.array(range(rows), pa.timestamp("us")),
        }
    )
    prompts = pa.table({"prompt": [f"a boat {i}" if i % 5 else None for i in range(rows)], "n": list(range(rows))})
    options: list[dict[str, object]] = [
        {"compression": "none", "use_dictionary": False},
        {"compression": "snappy"},
        {"compression": "zstd", "row_group_size": 9},
        {"compression": "gzip", "data_page_version": "2.0"},
    ]
    return [_write(table, **option) for table in (pictures, prompts) for option in options]


def _write(table: pa.Table, **options: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


@cache
def swelling_table() -> bytes:
    """A few kilobytes of Parquet that hold pictures of 256 MB: one value of 4 MB, named 64 times."""
    return _write(pa.table({"image": pa.array([b"\0" * 2**22] * 64, pa.binary())}), compression="zstd")


def prepare() -> Check:
    """A check of the case of a number: whatever is in the file, each of its entries can become a record."""
    tables = make_tables()

    def check(case: int) -> str:
        rng = random.Random(f"corpus {case}")
        suffix = rng.choice(SUFFIXES)
        path = Path(f"corpus{suffix}").absolute()
        path.write_bytes(make_case(rng, suffix, tables))
        kind = "prompts" if suffix != ".parquet" or rng.random() < 0.5 else "parquet"
        return read(path, kind)

    return check


def make_case(rng: random.Random, suffix: str, tables: list[bytes]) -> bytes:
    """The file of a case."""
    if suffix == ".parquet":
        return swelling_table() if rng.random() < 0.005 else mutate(tables, rng)
    bombs = BOMBS[suffix]
    if rng.random() < 0.1:
        return rng.choice(bombs) if rng.random() < 0.5 else mutate([rng.choice(bombs)], rng)
    return mutate(LINES[suffix], rng)


def read(path: Path, kind: str) -> str:
    """List and read a corpus as a run does."""
    try:
        corpus = open_corpus(CorpusSettings(uri=str(path), format=kind))
        pieces = corpus.pieces({})
    except RequestError as error:
        said = str(error)
        assert 0 < len(said) < 3000
        return "refused"
    schema = record_schema(corpus.carried)
    failed = entries = 0
    for piece in pieces[: MAX_ENTRIES // max(1, piece_rows(pieces))]:
        found = list(corpus.read(piece))
        assert [entry.content_id for entry in found] == piece.content_ids()
        entries += len(found)
        failed += sum(entry.error is not None for entry in found)
        for entry in found:
            assert entry.error is not None or entry.data is not None or entry.prompt is not None
            _store(entry.columns, corpus.carried)
    assert "content_id" in schema.names
    return "some failed" if failed else "read"


def piece_rows(pieces: list[object]) -> int:
    """Rows of the largest piece."""
    return max((getattr(piece, "rows", 0) for piece in pieces), default=1)


def _store(columns: object, carried: pa.Schema) -> None:
    """The corpus's own columns go into a record as they are."""
    pa.Table.from_pylist([dict(columns)], schema=carried)  # type: ignore[call-overload]
