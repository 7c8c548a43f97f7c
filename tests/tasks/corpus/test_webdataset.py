"""WebDataset tars: samples with their keys, read in place; whatever is hostile is refused in a sentence."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest

from tasks.corpus import open_corpus
from tasks.corpus.base import Corpus
from tasks.corpus.settings import CorpusSettings
from tasks.records import RequestError
from tests.tasks.corpus.conftest import picture, read_all
from tests.tasks.corpus.tars import append_member, sample, samples, write_tar


def open_tars(uri: Path | str, **settings: str) -> Corpus:
    return open_corpus(CorpusSettings.model_validate({"uri": str(uri), **settings}))


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tgz"])
def test_samples_come_with_keys_pictures_and_what_stands_beside_them(tmp_path: Path, ending: str) -> None:
    mode = "w" if ending == ".tar" else "w:gz"
    write_tar(tmp_path / f"a{ending}", samples(range(3)), mode=mode)  # type: ignore[arg-type]
    write_tar(tmp_path / f"sub/b{ending}", samples(range(3, 5)), mode=mode)  # type: ignore[arg-type]
    entries = read_all(str(tmp_path))
    assert [e.content_id for e in entries] == [f"a{ending}#{n:05d}" for n in range(3)] + [
        f"sub/b{ending}#{n:05d}" for n in (3, 4)
    ]
    assert [entry.data for entry in entries] == [picture(number) for number in range(5)]
    assert entries[4].columns == {"width": 8, "caption": "picture 4", "boxes": "[[0, 1]]", "cls": 4}
    assert entries[4].content_uri == f"{tmp_path}/sub/b{ending}#00004"
    (*_, alone) = read_all(str(tmp_path / f"sub/b{ending}"))
    assert (alone.content_id, alone.content_uri) == (f"b{ending}#00004", f"{tmp_path}/sub/b{ending}#00004")


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_layout_of_tar_gives_the_names_that_tarfile_gives(tmp_path: Path, layout: int) -> None:
    names = ["a.png", "./b.png", "c/d e.png", "n" * 90 + "/" + "m" * 60 + ".png"]
    names += [] if layout == tarfile.USTAR_FORMAT else ["ü" * 120 + "/é.png", "x" * 300 + ".png"]
    path = write_tar(tmp_path / "a.tar", [(name, picture(place)) for place, name in enumerate(names)], layout)
    with tarfile.open(path) as tar:
        expected = [member.name.removeprefix("./").removesuffix(".png") for member in tar]
    entries = read_all(str(path))
    assert [entry.content_id.removeprefix("a.tar#") for entry in entries] == expected
    assert [entry.data for entry in entries] == [picture(place) for place in range(len(names))]


def test_types_come_from_the_first_samples_and_what_differs_later_fails_alone(tmp_path: Path) -> None:
    members = [part for number in range(100) for part in (sample(number)[0], (f"{number:05d}.json", b'{"n": 1}'))]
    later = [("100.png", picture(1)), ("100.json", b'{"n": "one", "new": 2}'), ("101.png", picture(2))]
    later += [("102.png", picture(3)), ("102.json", b"[1]"), ("103.png", picture(4)), ("103.json", b'{"n": 7}')]
    corpus = open_tars(write_tar(tmp_path / "a.tar", members + later))
    assert corpus.carried == pa.schema([("n", pa.int64())])
    entries = [entry for piece in corpus.pieces({})[-4:] for entry in corpus.read(piece)]
    assert [entry.error and entry.error.reason for entry in entries] == ["malformed", None, "malformed", None]
    assert [entry.columns.get("n") for entry in entries] == [None, None, None, 7]


def test_text_numbers_and_further_pictures_are_carried_and_arrays_are_not(tmp_path: Path) -> None:
    beside = [("1.txt", "a böat".encode()), ("1.cls", b"3"), ("1.mask.png", picture(9)), ("1.npy", b"\x93NUMPY")]
    corpus = open_tars(write_tar(tmp_path / "a.tar", [("1.jpg", picture(1)), *beside, ("1.pickle", b"cos\nsystem\n")]))
    assert corpus.carried == pa.schema([("txt", pa.string()), ("cls", pa.int64()), ("mask.png", pa.binary())])
    (entry,) = [entry for piece in corpus.pieces({}) for entry in corpus.read(piece)]
    assert entry.columns == {"txt": "a böat", "cls": 3, "mask.png": picture(9)}
    assert pa.Table.from_pylist([dict(entry.columns)], schema=corpus.carried).num_rows == 1


def test_samples_without_a_picture_and_hidden_members_are_passed_over(tmp_path: Path) -> None:
    members = [("a/._1.jpg", b"x"), ("1.txt", b"words"), ("2.jpg", picture(2)), ("README", b"x"), ("3.json", b"{}")]
    corpus = open_tars(write_tar(tmp_path / "a.tar", members))
    assert [piece.path for piece in corpus.pieces({})] == ["a.tar#2"]
    assert getattr(corpus, "ignored") == 2  # noqa: B009 (only some corpora have it)


def test_of_several_pictures_one_is_chosen(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.jpg", picture(1)), ("1.png", picture(2))])
    with pytest.raises(RequestError, match=r"several pictures \(jpg, png\): set `image`"):
        open_tars(path)
    (entry,) = read_all(str(path), image="png")
    assert (entry.data, entry.columns) == (picture(2), {"jpg": picture(1)})


class Counting(fsspec.implementations.memory.MemoryFileSystem):  # type: ignore[misc]
    """Counts the bytes that are asked for, and opens files as stores do."""

    read = 0

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        data: bytes = super().cat_file(path, start, end)
        Counting.read += len(data)
        return data


def test_a_shard_reads_only_the_bytes_of_its_samples(
    tmp_path: Path, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tar(tmp_path / "a.tar", samples(range(200)))
    memory.pipe_file("/tars/a.tar", path.read_bytes())
    corpus = open_tars("memory://tars")
    pieces = corpus.pieces({})
    assert sum(piece.bytes for piece in pieces) <= path.stat().st_size
    counting = Counting()
    monkeypatch.setattr(corpus, "root", type(corpus.root)(counting, corpus.root.path))  # type: ignore[attr-defined]
    Counting.read = 0
    (entry,) = corpus.read(pieces[150])
    assert entry.data == picture(150)
    assert entry.columns["cls"] == 150
    assert Counting.read == pieces[150].bytes < 8000


def test_tars_on_object_storage_have_their_tags(tmp_path: Path, s3: str) -> None:
    store = fsspec.filesystem("s3", use_listings_cache=False)
    store.pipe_file(f"{s3}/in/a.tar", write_tar(tmp_path / "a.tar", samples(range(3))).read_bytes())
    first, _, third = read_all(f"{s3}/in")
    tag = store.info(f"{s3}/in/a.tar")["ETag"].strip('"')
    assert first.content_version == f"etag:{tag}-{(tmp_path / 'a.tar').stat().st_size}"
    assert (third.data, third.columns["cls"]) == (picture(2), 2)


def test_a_tar_keeps_its_version_by_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tar(tmp_path / "a.tar", samples(range(3)))
    pieces = open_tars(path).pieces({})
    known = {piece.path: piece for piece in pieces}

    def refuse(*_: object) -> None:
        raise AssertionError("a tar that has not changed was read again")

    monkeypatch.setattr("tasks.corpus.listing._digest", refuse)
    assert open_tars(path).pieces(known) == pieces
    os.utime(path, ns=(0, 1))
    with pytest.raises(AssertionError):
        open_tars(path).pieces(known)


@pytest.mark.parametrize("ending", [".tar", ".tgz"])
def test_a_tar_that_changed_after_it_was_planned_gives_failed_records(tmp_path: Path, ending: str) -> None:
    mode: Any = "w" if ending == ".tar" else "w:gz"
    path = write_tar(tmp_path / f"a{ending}", samples(range(3)), mode=mode)
    pieces = open_tars(path).pieces({})
    time = path.stat().st_mtime_ns
    write_tar(path, samples(range(9, 12)), mode=mode)
    reasons = [entry.error and entry.error.reason for p in pieces for entry in open_tars(path).read(p)]
    assert set(reasons) == {"changed"}
    os.utime(path, ns=(time, time))  # nothing shows but the keys
    reasons = [entry.error and entry.error.reason for p in pieces for entry in open_tars(path).read(p)]
    assert set(reasons) == {"changed"}
    corpus = open_tars(path)
    path.unlink()
    assert [entry.error and entry.error.reason for p in pieces for entry in corpus.read(p)] == ["missing"] * 3


def special(kind: bytes) -> Callable[[Path], None]:
    def add(path: Path) -> None:
        info = tarfile.TarInfo("9.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        append_member(path, info)

    return add


def named(name: str) -> Callable[[Path], None]:
    def add(path: Path) -> None:
        info = tarfile.TarInfo(name)
        info.size = 1
        append_member(path, info, b"x")

    return add


def giant(path: Path) -> None:
    """A header that promises eight exabytes, in base 256."""
    info = tarfile.TarInfo("9.jpg")
    info.size = 2**62
    data = path.read_bytes().rstrip(b"\0")
    data += bytes(-len(data) % 512) + info.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(data + bytes(1024))


def long_header(path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**40
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))


def sparse(path: Path) -> None:
    info = tarfile.TarInfo("9.jpg")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**50)}
    append_member(path, info)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:700])


def without_end(path: Path) -> None:
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data + bytes(-len(data) % 512))


def one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)


def no_utf8(path: Path) -> None:
    info = tarfile.TarInfo("x.jpg")
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    header[0] = 0xFF
    total = sum(header) - sum(header[148:156]) + 256
    header[148:156] = b"%06o\0 " % total
    path.write_bytes(bytes(header) + bytes(1024))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (special(tarfile.SYMTYPE), "has a link"),
        (special(tarfile.LNKTYPE), "has a link"),
        (special(tarfile.CHRTYPE), "has a device"),
        (special(tarfile.BLKTYPE), "has a device"),
        (special(tarfile.FIFOTYPE), "has a pipe"),
        (named("../../etc/x.jpg"), "leads out of it"),
        (named("a/../../x.jpg"), "leads out of it"),
        (named("/etc/x.jpg"), "leads out of it"),
        (named("a\x1b[2J.jpg"), "control characters"),
        (named("a\nb.jpg"), "control characters"),
        (named("00001.png"), "Two contents have the id 'a.tar#00001'"),
        (named("00002.png"), "has two members '00002.png'"),
        (giant, "breaks off within '9.jpg'"),
        (long_header, "has a header of 1099511627776 bytes"),
        (sparse, "has a sparse file"),
        (cut_short, "breaks off"),
        (without_end, "has no end mark"),
        (one_bit, "is no tar, or a damaged one"),
        (no_utf8, "is not UTF-8"),
        (lambda path: path.write_bytes(b"words"), "breaks off"),
        (lambda path: path.write_bytes(bytes(1024)), "have no pictures"),
    ],
)
def test_a_hostile_or_damaged_tar_is_refused_in_a_sentence(
    tmp_path: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    path = write_tar(tmp_path / "a.tar", samples(range(3))[:7])
    spoil(path)
    with pytest.raises(RequestError, match=sentence) as caught:
        open_tars(path).pieces({})
    assert str(caught.value).isprintable()


def test_two_samples_of_one_key_apart_are_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.jpg", picture(1)), ("2.jpg", picture(2)), ("1.jpg", picture(3))])
    with pytest.raises(RequestError, match=r"Two contents have the id 'a\.tar#1'"):
        open_tars(path).pieces({})


def test_a_compressed_tar_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("1.jpg")
    info.size = 2**31
    with gzip.open(tmp_path / "a.tgz", "wb", 9) as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(2**20))
    with pytest.raises(RequestError, match=r"grows more than 100 times|breaks off"):
        open_tars(tmp_path / "a.tgz").pieces({})


def test_a_damaged_compressed_tar_is_refused(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "a.tgz", samples(range(50)), mode="w:gz").read_bytes()
    for data in (whole[: len(whole) // 2], whole[:200] + bytes(200) + whole[400:], b"words" * 200):
        (tmp_path / "a.tgz").write_bytes(data)
        with pytest.raises(RequestError, match=r"a\.tgz of the corpus .* (is damaged|breaks off|no tar)"):
            open_tars(tmp_path / "a.tgz").pieces({})


def test_a_tar_with_a_number_sign_in_its_path_is_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "a#1.tar", samples(range(2)))
    with pytest.raises(RequestError, match="has a # in its path"):
        open_tars(tmp_path).pieces({})


def test_large_labels_fail_alone(tmp_path: Path) -> None:
    large = json.dumps({"text": "x" * 2**20}).encode()
    members = [("1.jpg", picture(1)), ("1.json", b'{"text": "y"}'), ("2.jpg", picture(2)), ("2.json", large)]
    entries = read_all(str(write_tar(tmp_path / "a.tar", members)))
    assert [entry.error and entry.error.reason for entry in entries] == [None, "too_large"]
