"""Objects under storms of storage faults: whole or absent, and there where a writer was told so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import s3fs

from tasks.corpus import open_corpus
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.sink import publish_shard
from tasks.records import RequestError
from tasks.storage import Folder, is_passing, storage_errors
from tests.chaos.faults import STORMS
from tests.chaos.proxy import Proxy, Weather

OBJECTS = 6
SIZE = 300_000


@pytest.fixture(autouse=True)
def clear_sky(proxy: Proxy) -> Iterator[None]:
    """No weather while buckets are made."""
    proxy.weather = Weather()
    yield
    proxy.weather = Weather()


@pytest.fixture(scope="module")
def proxy(s3_endpoint: str) -> Iterator[Proxy]:
    """A proxy that clients find by the environment."""
    address = urlsplit(s3_endpoint)
    made = Proxy((address.hostname or "", address.port or 0))
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{made.port}"
    s3fs.S3FileSystem.clear_instance_cache()
    yield made
    os.environ["AWS_ENDPOINT_URL"] = s3_endpoint
    s3fs.S3FileSystem.clear_instance_cache()
    made.close()


def body(number: int) -> bytes:
    return (b"%08d" % number) * (SIZE // 8)


@pytest.mark.parametrize("storm", ["slow", "throttled", "reset", "lost answers", "cut uploads", "cut answers"])
def test_an_object_is_whole_or_absent_and_there_where_a_writer_was_told_so(proxy: Proxy, s3: str, storm: str) -> None:
    folder = Folder(s3)
    proxy.weather = Weather(**STORMS[storm], seed=1)
    told, read = set(), set()
    for number in range(OBJECTS):
        try:
            publish_shard(folder, f"data/{number}", body(number))
            told.add(number)
            assert folder.read(f"data/{number}") == body(number)
            read.add(number)
        except storage_errors(folder.filesystem):
            continue
    storms, proxy.weather = proxy.weather, Weather()
    there = folder.list("data")
    assert storm == "slow" or sum(storms.counts.values()) > 0
    assert {f"data/{number}" for number in told} <= there.keys()
    assert all(folder.read(name) == body(int(name.removeprefix("data/"))) for name in there)
    assert len(read) >= OBJECTS // 2, "clients try again"


@pytest.mark.parametrize(
    ("storm", "passing"), [({"throttle": 1.0}, True), ({"cut_answer": 1.0}, True), ({"reset": 1.0}, False), ({}, False)]
)
def test_a_store_that_may_recover_is_told_from_one_that_is_not_there(
    proxy: Proxy, s3: str, storm: dict[str, float], passing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # botocore's own; s3fs tries again above it
    s3fs.S3FileSystem.clear_instance_cache()
    proxy.weather = Weather(**storm, seed=1)
    place = s3 if storm else f"{s3}-that-nobody-made"
    with pytest.raises(RequestError, match="Nothing can be written under") as writing:
        Folder(place).probe()
    with pytest.raises(RequestError, match=r"The corpus .* (cannot be|does not exist)") as listing:
        list(open_corpus(CorpusSettings(uri=f"{place}/photos", format="folder")).pieces({}))
    assert [is_passing(error.value.__cause__) for error in (writing, listing)] == [passing, passing]
