"""Manifests: rows that point to pictures, fetched within bounds; a picture that cannot be had is a failed record."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.corpus import fetching, open_corpus
from tasks.corpus.base import Corpus, Entry
from tasks.corpus.settings import CorpusSettings
from tasks.records import RequestError
from tests.tasks.corpus.conftest import picture
from tests.tasks.corpus.website import Website, open_website

Rows = Sequence[dict[str, Any]]


def write_txt(path: Path, rows: Rows) -> None:
    path.write_text("".join(f"{row['image']}\n" for row in rows))


def write_csv(path: Path, rows: Rows) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def write_parquet(path: Path, rows: Rows) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)


FORMATS: dict[str, Callable[[Path, Rows], None]] = {
    "txt": write_txt,
    "csv": write_csv,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}


@pytest.fixture
def website(monkeypatch: pytest.MonkeyPatch) -> Iterator[Website]:
    monkeypatch.setattr(fetching, "BACKOFF_SECONDS", 0.01)
    with open_website() as site:
        yield site


def open_manifest(uri: Path | str, **settings: Any) -> Corpus:
    return open_corpus(CorpusSettings.model_validate({"uri": str(uri), "format": "manifest", **settings}))


def read_rows(uri: Path | str, **settings: Any) -> list[Entry]:
    corpus = open_manifest(uri, **settings)
    return [entry for piece in corpus.pieces({}) for entry in corpus.read(piece)]


def reasons(entries: Sequence[Entry]) -> list[str | None]:
    return [entry.error and entry.error.reason for entry in entries]


@pytest.mark.parametrize("ending", FORMATS)
def test_rows_point_to_files_beside_and_to_the_web(tmp_path: Path, website: Website, ending: str) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(picture(1))
    uri = website.put("/b.png", picture(2))
    FORMATS[ending](tmp_path / f"list.{ending}", [{"image": "photos/a.png", "label": 1}, {"image": uri, "label": 2}])
    first, second = read_rows(tmp_path / f"list.{ending}", allow=[website.uri])
    assert (first.content_id, first.content_uri) == ("photos/a.png", f"{tmp_path}/photos/a.png")
    assert first.content_version.startswith("sha256:")
    assert (second.content_id, second.content_uri) == (uri, uri)
    assert [first.data, second.data] == [picture(1), picture(2)]
    labels = {"txt": [None, None], "csv": ["1", "2"]}.get(ending, [1, 2])
    assert [entry.columns.get("label") for entry in (first, second)] == labels


def test_the_column_is_guessed_or_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    write_csv(tmp_path / "list.csv", [{"url": "a.png", "thumb": "b.png"}])
    (entry,) = read_rows(tmp_path / "list.csv")
    assert (entry.data, entry.columns) == (picture(1), {"thumb": "b.png"})
    (entry,) = read_rows(tmp_path / "list.csv", image="thumb")
    assert (entry.content_id, reasons([entry])) == ("b.png", ["missing"])
    write_csv(tmp_path / "odd.csv", [{"what": "a.png"}])
    with pytest.raises(RequestError, match=r"no column 'image': set `image` to one of its columns \(what\)"):
        open_manifest(tmp_path / "odd.csv")
    write_txt(tmp_path / "list.txt", [{"image": "a.png"}])
    with pytest.raises(RequestError, match="leave `image` out"):
        open_manifest(tmp_path / "list.txt", image="url")


def test_paths_never_lead_out_of_the_manifests_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_bytes(picture(1))
    (tmp_path / "in/a.png").write_bytes(picture(2))
    paths = ["a.png", "../secret.png", f"{tmp_path}/secret.png", "x/../../secret.png", f"file://{tmp_path}/secret.png"]
    paths += ["%2e%2e/secret.png", "..\\secret.png", f"{tmp_path}/in/../secret.png"]
    write_txt(tmp_path / "in/list.txt", [{"image": path} for path in paths])
    entries = read_rows(tmp_path / "in/list.txt")
    assert entries[0].data == picture(2)
    assert {entry.data for entry in entries[1:]} == {None}
    write_txt(tmp_path / "in/list.txt", [{"image": f"{tmp_path}/in/a.png"}])
    (inside,) = read_rows(tmp_path / "in/list.txt")
    assert (inside.content_id, inside.content_uri, inside.data) == (*[f"{tmp_path}/in/a.png"] * 2, picture(2))
    assert set(reasons(entries[1:])) == {"not_allowed"}


def test_places_that_are_not_allowed_are_refused_at_once_where_no_other_is_left(
    tmp_path: Path, website: Website
) -> None:
    uri = website.put("/a.png", picture(1))
    write_txt(tmp_path / "list.txt", [{"image": uri}])
    with pytest.raises(RequestError, match=rf"no picture that may be read.*\({website.uri}\).*`allow`"):
        open_manifest(tmp_path / "list.txt").pieces({})
    write_txt(tmp_path / "list.txt", [{"image": uri}, {"image": "http://169.254.169.254/latest/meta-data"}])
    assert reasons(read_rows(tmp_path / "list.txt", allow=[website.uri])) == [None, "not_allowed"]
    assert website.asked == ["/a.png"]


def test_what_cannot_be_fetched_is_a_failed_record(tmp_path: Path, website: Website) -> None:
    names = {"gone": 404, "busy": 503, "forbidden": 403}
    uris = [website.put(f"/{name}", b"", status) for name, status in names.items()]
    write_txt(tmp_path / "list.txt", [{"image": uri} for uri in [*uris, "here/gone.png"]])
    entries = read_rows(tmp_path / "list.txt", allow=[website.uri])
    assert reasons(entries) == ["missing", "unreachable", "forbidden", "missing"]


def test_rows_that_are_damaged_fail_alone_and_keep_an_id(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    lines = ["image,label", "a.png,1", "b.png,2,3", ",4", f"{'x' * 5000},5", '"c\x1b[2J.png",6', '"d\nd.png",7']
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    entries = read_rows(tmp_path / "list.csv")
    ids = ["a.png", "b.png,2,3", "list.csv#2", "list.csv#3", "c%1B[2J.png", "d%0Ad.png"]
    assert [entry.content_id for entry in entries] == ids
    assert reasons(entries) == [None, "malformed", "bad_uri", "bad_uri", "bad_uri", "bad_uri"]


@pytest.mark.parametrize("ending", FORMATS)
def test_two_rows_of_one_picture_are_refused(tmp_path: Path, ending: str) -> None:
    rows = [{"image": f"{number}.png"} for number in (*range(3000), 1234)]
    FORMATS[ending](tmp_path / f"list.{ending}", rows)
    with pytest.raises(RequestError, match=r"Two contents have the id '1234\.png'"):
        open_manifest(tmp_path / f"list.{ending}").pieces({})


def test_no_secret_of_a_uri_is_kept(tmp_path: Path, website: Website, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    signed = website.put("/a.png", picture(1)) + "?X-Amz-Signature=hunter2&v=1"
    named = f"{website.uri.replace('://', '://user:hunter2@')}/a.png"
    gone = f"{website.uri}/gone.png?token=hunter2"
    write_txt(tmp_path / "list.txt", [{"image": uri} for uri in (signed, named, gone)])
    corpus = open_manifest(tmp_path / "list.txt", allow=[website.uri])
    pieces = corpus.pieces({})
    entries = [entry for piece in pieces for entry in corpus.read(piece)]
    assert "/a.png?X-Amz-Signature=hunter2&v=1" in website.asked
    assert reasons(entries) == [None, "bad_uri", "missing"]
    assert entries[0].content_id == f"{website.uri}/a.png?v=1"
    kept = repr(pieces) + "".join(repr((e.content_id, e.content_uri, e.columns, str(e.error))) for e in entries)
    assert "hunter2" not in kept + caplog.text


def test_a_digest_says_what_a_picture_was(tmp_path: Path, website: Website) -> None:
    uri = website.put("/a.png", picture(1))
    digest = hashlib.sha256(picture(1)).hexdigest()
    write_csv(tmp_path / "list.csv", [{"image": uri, "sha256": digest}, {"image": f"{uri}?", "sha256": "0" * 64}])
    entries = read_rows(tmp_path / "list.csv", allow=[website.uri])
    assert reasons(entries) == [None, "changed"]
    assert entries[0].content_version == f"sha256:{digest[:32]}"


def test_rows_may_move_and_a_row_that_was_replaced_is_not_taken_for_another(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    write_txt(tmp_path / "list.txt", [{"image": f"{number}.png"} for number in range(2)])
    planned = open_manifest(tmp_path / "list.txt").pieces({})
    write_txt(tmp_path / "list.txt", [{"image": f"{number}.png"} for number in (2, 0, 1)])
    corpus = open_manifest(tmp_path / "list.txt")
    moved = {piece.path: piece.version for piece in corpus.pieces({})}
    assert {piece.path: piece.version for piece in planned}.items() <= moved.items()
    assert reasons([entry for piece in planned for entry in corpus.read(piece)]) == ["changed", "changed"]


def test_a_file_keeps_its_version_by_size_and_time(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    write_txt(tmp_path / "list.txt", [{"image": "./a.png"}])
    (piece,) = open_manifest(tmp_path / "list.txt").pieces({})
    kept = type(piece)(piece.path, "kept", piece.bytes, piece.modified)
    assert open_manifest(tmp_path / "list.txt").pieces({"./a.png": kept})[0].version == "kept"
    os.utime(tmp_path / "a.png", ns=(0, 1))
    assert open_manifest(tmp_path / "list.txt").pieces({"./a.png": kept})[0].version == piece.version


def test_a_manifest_on_a_store_names_what_lies_beside_it(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe({"/lists/a.png": picture(1), "/lists/l.txt": b"a.png\nmemory://lists/a.png\n", "/other/b.png": b""})
    entries = read_rows("memory://lists/l.txt")
    assert [entry.data for entry in entries] == [picture(1)] * 2
    memory.pipe_file("/lists/m.txt", b"memory://other/b.png\na.png\n")
    assert reasons(read_rows("memory://lists/m.txt")) == ["not_allowed", None]


def test_a_manifest_that_cannot_serve_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\n\n")
    with pytest.raises(RequestError, match="has no rows"):
        open_manifest(tmp_path / "list.txt").pieces({})
    (tmp_path / "list.md").write_bytes(b"a.png")
    for wrong in ("list.md", "."):
        with pytest.raises(RequestError, match="is no manifest"):
            open_manifest(tmp_path / wrong)
    (tmp_path / "list.txt").write_bytes(b"\xff\xfea\0")
    with pytest.raises(RequestError, match="not in UTF-8"):
        open_manifest(tmp_path / "list.txt").pieces({})
