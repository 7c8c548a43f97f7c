"""Zips that are hostile, broken or not torch's: refused for a reason, and not unpacked."""

from __future__ import annotations

import copy
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tasks.records import RequestError
from tasks.weights import archives, embeddings
from tasks.weights.embeddings import read_attention
from tasks.weights.importing import import_weights
from tests.tasks.weights import snapshot_files
from tests.tasks.weights.embedding_files import rewrite, write_embeddings


def refuse(path: Path, why: str | None = None) -> None:
    """Check that a file is refused for a reason, in one sentence, and that it did not run."""
    snapshot_files.refuse(path, why, import_weights)


def test_compressed_entries_are_refused_and_not_unpacked(scratch: Path) -> None:
    path = write_embeddings(scratch / "a.pt")
    rewrite(path, lambda entries: entries.update({"data/1": bytes(10**8)}), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**6, "the bomb itself does not work"
    tracemalloc.start()
    refuse(path, "compressed entries")
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refuse(rewrite(write_embeddings(path), dict, compression), "compressed entries")


def test_entries_that_lie_on_each_other_are_refused(scratch: Path) -> None:
    path = write_embeddings(scratch / "a.pt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/data/99", bytes(10_000))
        for index in range(50):  # all of the same bytes
            entry = copy.copy(archive.getinfo("a/data/99"))
            entry.filename = f"a/data/{100 + index}"
            archive.filelist.append(entry)
    refuse(path, "entries are larger than itself")


def test_many_entries_are_refused_before_they_are_listed(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_embeddings(scratch / "a.pt")
    rewrite(path, lambda entries: entries.update({f"data/{index}": b"" for index in range(100, 200)}))
    monkeypatch.setattr(archives, "zipfile", None)
    refuse(path, "a zip of more than 100 entries")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zips_that_torch_did_not_write_are_refused(scratch: Path) -> None:
    path = scratch / "a.pt"
    for names in (["a/b.txt"], ["data.pkl"], ["a/data.pkl", "b/version"], ["a/data.pkl", "a/data.pkl"]):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"\x80\x02N.")
        refuse(path, "a zip, but none that torch wrote")


def test_numbers_of_a_big_endian_machine_are_refused(scratch: Path) -> None:
    path = write_embeddings(scratch / "a.pt")
    refuse(rewrite(path, lambda entries: entries.update({"byteorder": b"big"})), "of a big-endian machine")


def test_entries_that_say_they_are_encrypted_are_refused(scratch: Path) -> None:
    path = write_embeddings(scratch / "a.pt")
    data = bytearray(path.read_bytes())
    data[data.index(archives.ENTRY) + 8] |= 1
    path.write_bytes(data)
    refuse(path, "is not a whole zip")


def test_a_file_too_large_is_refused_unread(scratch: Path) -> None:
    path = write_embeddings(scratch / "a.pt")
    with open(path, "r+b") as file:
        file.truncate(embeddings.MAX_BYTES + 1)  # takes no room
    refuse(path, "larger than 0.1 GB")


def test_a_file_cut_anywhere_is_refused(scratch: Path) -> None:
    path = write_embeddings(scratch / "a.pt")
    whole = path.read_bytes()
    for end in [*range(0, len(whole), 89), *range(len(whole) - 30, len(whole))]:
        path.write_bytes(whole[:end])
        refuse(path, "is not a whole zip" if end >= 4 else "is not a whole pickle|is not a pickle")


def test_bytes_changed_anywhere_end_in_a_sentence_or_in_an_import(scratch: Path) -> None:
    path, random = write_embeddings(scratch / "a.pt"), np.random.default_rng(0)
    whole = path.read_bytes()
    for place in [*random.integers(len(whole), size=200), *range(len(whole) - 1500, len(whole), 3)]:
        changed = bytearray(whole)
        changed[place] = random.integers(256)
        path.write_bytes(changed)
        with suppress(RequestError):
            read_attention(path)
