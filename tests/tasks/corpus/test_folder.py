"""A folder is read whole: by name, at any depth, on any filesystem, and nothing slips through."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest

from tasks.corpus import open_corpus
from tasks.corpus.base import Piece, check_unique
from tasks.corpus.folder import FolderCorpus
from tasks.corpus.listing import Root
from tasks.corpus.settings import CorpusSettings
from tasks.images.decoding import MAX_BYTES
from tasks.records import RequestError
from tests.tasks.corpus.conftest import picture, read_all


def write(folder: Path, *names: str) -> None:
    for place, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(place))


def open_folder(uri: str) -> FolderCorpus:
    corpus = open_corpus(CorpusSettings(uri=uri))
    assert isinstance(corpus, FolderCorpus)
    return corpus


def test_pictures_are_found_at_any_depth_in_any_case_and_sorted(tmp_path: Path) -> None:
    write(tmp_path, "b.JPG", "a/y.Png", "a/b/z.webp", "a-b.gif", "ü x.tiff")
    entries = read_all(str(tmp_path))
    assert [entry.content_id for entry in entries] == ["a-b.gif", "a/b/z.webp", "a/y.Png", "b.JPG", "ü x.tiff"]
    assert all(entry.content_uri == f"{tmp_path}/{entry.content_id}" for entry in entries)
    assert entries[3].data == picture(0)
    assert all(entry.error is None and not entry.columns for entry in entries)


def test_hidden_files_are_skipped_and_others_counted(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", ".b.jpg", ".cache/c.jpg", "notes.txt", "d.csv")
    corpus = open_folder(str(tmp_path))
    assert [piece.path for piece in corpus.pieces({})] == ["a.jpg"]
    assert corpus.ignored == 2


def test_links_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path / "corpus", "real/a.jpg")
    write(tmp_path / "elsewhere", "b.jpg")
    (tmp_path / "corpus/real/loop").symlink_to(tmp_path / "corpus")
    (tmp_path / "corpus/away").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "corpus/alias").symlink_to(tmp_path / "corpus/real")
    (tmp_path / "corpus/c.jpg").symlink_to(tmp_path / "elsewhere/b.jpg")
    assert [e.content_id for e in read_all(str(tmp_path / "corpus"))] == ["away/b.jpg", "c.jpg", "real/a.jpg"]


def test_what_cannot_be_read_is_an_entry_with_its_reason(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    corpus = open_folder(str(tmp_path))
    pieces = corpus.pieces({})
    (tmp_path / "b.jpg").unlink()
    large = Piece("a.jpg", "v", MAX_BYTES + 1, 0)
    reasons = [entry.error and entry.error.reason for p in [*pieces, large] for entry in corpus.read(p)]
    assert reasons == [None, "missing", "missing", "too_large"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_picture_is_an_entry_with_its_reason(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg")
    (tmp_path / "a.jpg").chmod(0)
    [entry] = read_all(str(tmp_path))
    assert entry.error is not None
    assert entry.error.reason == "missing"


def test_a_version_follows_the_content_and_is_reused_by_size_and_time(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "b.jpg")
    corpus = open_folder(str(tmp_path))
    first = {piece.path: piece for piece in corpus.pieces({})}
    assert first["a.jpg"].version.startswith("sha256:")
    assert first["a.jpg"].version != first["b.jpg"].version
    marked = {path: Piece(path, "kept", piece.bytes, piece.modified) for path, piece in first.items()}
    (tmp_path / "b.jpg").write_bytes(picture(99))
    os.utime(tmp_path / "b.jpg", ns=(0, first["b.jpg"].modified + 1))
    again = {piece.path: piece.version for piece in corpus.pieces(marked)}
    assert again["a.jpg"] == "kept"
    assert again["b.jpg"] not in ("kept", first["b.jpg"].version)


def test_a_folder_on_another_filesystem_reads_the_same(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe(
        {"/photos/a.jpg": picture(1), "/photos/n/b.PNG": picture(2), "/photos/.h/c.jpg": b"", "/photos/d.md": b""}
    )
    entries = read_all("memory://photos")
    assert [entry.content_id for entry in entries] == ["a.jpg", "n/b.PNG"]
    assert entries[1].content_uri == "memory://photos/n/b.PNG"
    assert entries[1].data == picture(2)
    assert entries[1].content_version.startswith("sha256:")


def test_object_storage_gives_its_entity_tags(s3: str) -> None:
    store = fsspec.filesystem("s3", use_listings_cache=False)
    store.pipe_file(f"{s3}/in/a.jpg", picture(1))
    store.pipe_file(f"{s3}/in/b/c.jpg", picture(2))
    first, second = read_all(f"{s3}/in")
    tag = store.info(f"{s3}/in/a.jpg")["ETag"].strip('"')
    assert first.content_version == f"etag:{tag}-{len(picture(1))}"
    assert (second.content_id, second.data) == ("b/c.jpg", picture(2))
    with pytest.raises(RequestError, match="does not exist"):
        read_all(f"{s3}/out")


def test_a_corpus_that_cannot_serve_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist: check the path"):
        read_all(str(tmp_path / "nowhere"))
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(RequestError, match=r"has no pictures \(1 other files\)"):
        read_all(str(tmp_path))
    write(tmp_path, "a.jpg")
    with pytest.raises(RequestError, match="is one file: name the folder"):
        read_all(str(tmp_path / "a.jpg"))
    (tmp_path / "t.parquet").write_bytes(b"")
    with pytest.raises(RequestError, match="set its `format`"):
        read_all(str(tmp_path))
    assert len(read_all(str(tmp_path), format="folder")) == 1


def test_equal_ids_and_odd_names_are_refused(tmp_path: Path) -> None:
    check_unique([Piece("t", "v", 1, 0, 0, 5), Piece("t", "v", 1, 0, 5, 5), Piece("a", "v", 1, 0)])
    with pytest.raises(RequestError, match="Two contents have the id 'a'"):
        check_unique([Piece("a", "v", 1, 0), Piece("a", "w", 1, 0)])
    with pytest.raises(RequestError, match="Two contents have the id 't#4'"):
        check_unique([Piece("t", "v", 1, 0, 0, 5), Piece("t", "v", 1, 0, 4, 5)])
    with open(os.fsencode(tmp_path) + b"/\xff.jpg", "wb") as file:
        file.write(picture())
    with pytest.raises(RequestError, match="not UTF-8"):
        Root(fsspec.filesystem("file"), str(tmp_path)).files()


def test_a_picture_that_changed_after_it_was_planned_is_not_taken_for_the_planned_one(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "b.png")
    corpus = open_folder(str(tmp_path))
    changed, same = corpus.pieces({})
    (tmp_path / "a.png").write_bytes(picture(7))
    (entry,) = corpus.read(changed)
    assert entry.data is None
    assert entry.error is not None
    assert entry.error.reason == "changed"
    (entry,) = corpus.read(same)
    assert entry.data == picture(1)
