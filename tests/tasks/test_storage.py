"""Publishing once and whole, on each kind of storage, through races, refusals and lost answers."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from tasks.records import RequestError
from tasks.storage import Folder, open_filesystem
from tests.tasks.fake_s3 import CONFLICT, Answer, Request, forward, serve

WRITERS = 8


@pytest.fixture(params=["disk", "memory", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A folder on each kind of storage."""
    if request.param == "s3":
        return Folder(f"{request.getfixturevalue('s3')}/some/dataset")
    return Folder(str(tmp_path / "out") if request.param == "disk" else f"memory://{tmp_path.name}/out")


def test_a_file_is_published_whole_and_once(folder: Folder) -> None:
    data = b"0123456789" * 10**6
    with tempfile.TemporaryFile() as file:
        file.write(data)
        assert folder.publish_file("deep/name", file)
        file.write(b" and more")
        assert not folder.publish_file("deep/name", file)
        assert folder.read("deep/name") == data
        assert folder.publish_file("deep/name", file, create=False)
    assert folder.read("deep/name") == data + b" and more"
    assert list(folder.describe("", temporary=True)) == ["deep/name"]


def test_only_one_of_many_writers_creates(folder: Folder) -> None:
    for round_ in range(5):
        name = f"data/{round_}.parquet"
        with ThreadPoolExecutor(WRITERS) as pool:
            wrote = list(pool.map(lambda i, name=name: folder.publish(name, b"%d" % i * 10_000), range(WRITERS)))
        assert wrote.count(True) == 1
        assert folder.read(name) == b"%d" % wrote.index(True) * 10_000
    assert list(folder.list("data")) == [f"data/{round_}.parquet" for round_ in range(5)]


def test_a_race_on_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda i: folder.publish("data/one", b"x" * i), range(WRITERS)))
    assert os.listdir(tmp_path / "data") == ["one"]


def test_create_keeps_what_is_there_and_overwrite_does_not(folder: Folder) -> None:
    assert folder.publish("a/b/c.json", b"first")
    assert not folder.publish("a/b/c.json", b"second")
    assert folder.read("a/b/c.json") == b"first"
    assert folder.publish("a/b/c.json", b"third", create=False)
    assert folder.read("a/b/c.json") == b"third"


def test_names_are_listed_with_sizes_below_their_folder_only(folder: Folder) -> None:
    assert folder.list("data") == {}
    for name in ("data/x", "data/deep/y", "database/z", "data/.tmp-left-by-a-kill"):
        folder.publish(name, b"12345")
    assert folder.list("data") == {"data/deep/y": 5, "data/x": 5}


def test_what_is_not_there_is_none_and_may_be_deleted(folder: Folder) -> None:
    assert folder.read_or_none("nothing") is None
    assert not folder.exists("nothing")
    folder.delete("nothing")
    with pytest.raises(FileNotFoundError):
        folder.read("nothing")
    with pytest.raises(FileNotFoundError):
        folder.open("nothing")
    folder.publish("something", b"0123456789")
    with folder.open("something") as file:
        file.seek(4)
        assert file.read(3) == b"456"
    folder.delete("something")
    assert not folder.exists("something")


def test_a_good_store_passes_the_probe_and_keeps_no_trace_of_it(folder: Folder) -> None:
    folder.probe()
    assert folder.list("") == {}


def test_a_folder_travels_to_other_processes(folder: Folder) -> None:
    folder.publish("x", b"1")
    assert pickle.loads(pickle.dumps(folder)).read("x") == b"1"


def test_a_large_object_goes_in_a_single_part(s3: str) -> None:
    folder = Folder(s3)
    assert folder.publish("data/large", os.urandom(2**20) * 60)
    info = fsspec.filesystem("s3").info(f"{s3}/data/large")
    assert info["size"] == 60 * 2**20
    # The entity tag of a multipart upload ends in a dash and the number of parts.
    assert "-" not in info["ETag"]


def test_reading_an_end_does_not_fetch_what_lies_before(s3: str, s3_endpoint: str) -> None:
    Folder(s3).publish("large", b"x" * 2**22)
    sent = []

    def answer(request: Request, headers: dict[str, str]) -> Answer:
        reply = forward(s3_endpoint, request, headers)
        sent.append(len(reply.body))
        return reply

    with serve(answer), Folder(s3).open("large") as file:
        file.seek(1000)
        assert len(file.read(500)) == 500
    assert sum(sent) < 10_000


def test_a_store_that_ignores_conditions_is_refused(s3_endpoint: str) -> None:
    with serve(lambda *_: Answer(200, headers={"ETag": '"0"'})), pytest.raises(RequestError) as caught:
        Folder("s3://bucket/out").probe()
    assert "If-None-Match" in str(caught.value)


@pytest.mark.parametrize("place", ["/proc/atelier", "{file}/out"])
def test_a_folder_that_cannot_be_written_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RequestError, match="Nothing can be written under"):
        Folder(place.format(file=tmp_path / "file")).probe()


def test_a_bucket_that_is_not_there_is_refused(s3_endpoint: str) -> None:
    with pytest.raises(RequestError, match="Nothing can be written under s3://no-such-bucket"):
        Folder("s3://no-such-bucket/out").probe()


@pytest.mark.parametrize(
    "uri",
    [
        "s3://KEY:hunter2@bucket/out",
        "simplecache::s3://KEY:hunter2@bucket/out",
        "ftp://me:hunter2@host/photos",
        "https://host/weights.safetensors?X-Amz-Signature=hunter2",
        "https://host/photos?sv=2024&sig=hunter2",
    ],
)
def test_a_uri_with_credentials_is_refused_and_never_repeated(uri: str) -> None:
    with pytest.raises(RequestError) as caught:
        open_filesystem(uri)
    assert "credentials" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("uri", ["memory://a@b:c/d.jpg", "/home/me:you@work/photos", "memory://x/what?size=3.jpg"])
def test_a_name_with_an_at_sign_is_no_credential(uri: str) -> None:
    open_filesystem(uri)


@pytest.mark.parametrize("uri", ["nosuch://bucket/x", "s3://[bad/x"])
def test_a_storage_that_nobody_knows_is_refused(uri: str) -> None:
    with pytest.raises(RequestError, match="cannot be opened"):
        open_filesystem(uri)


def conflicting(endpoint: str, times: int) -> Callable[[Request, dict[str, str]], Answer]:
    """A store that is busy with another conditional write so many times."""
    left = [times]

    def answer(request: Request, headers: dict[str, str]) -> Answer:
        if request.is_conditional and left[0]:
            left[0] -= 1
            return Answer(409, CONFLICT)
        return forward(endpoint, request, headers)

    return answer


def test_a_conflict_with_another_writer_is_tried_again(s3: str, s3_endpoint: str) -> None:
    with serve(conflicting(s3_endpoint, 2)):
        assert Folder(s3).publish("x", b"1")
        assert not Folder(s3).publish("x", b"2")
    assert Folder(s3).read("x") == b"1"


def test_a_conflict_that_stays_is_an_error_in_the_end(s3: str, s3_endpoint: str) -> None:
    with serve(conflicting(s3_endpoint, 1000)), pytest.raises(OSError, match="ConditionalRequestConflict"):
        Folder(s3).publish("x", b"1")
    assert not Folder(s3).exists("x")


def test_an_answer_that_was_lost_reads_as_a_refusal_and_the_object_is_ours(s3: str, s3_endpoint: str) -> None:
    cut = []

    def answer(request: Request, headers: dict[str, str]) -> Answer:
        reply = forward(s3_endpoint, request, headers)
        reply.cut = request.is_conditional and not cut
        cut.extend([True] * reply.cut)
        return reply

    with serve(answer):
        assert not Folder(s3).publish("x", b"ours")
    assert cut
    assert Folder(s3).read("x") == b"ours"
