"""Representations are stored once, come back bit for bit, and are computed by one process at a time."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
import torch

from tasks.methods.base import Representation
from tasks.records import RequestError
from tasks.store import ENTRY_BYTES, RepresentationStore

LEASE = "adain/key.lease"


def representation(value: float = 1.0, size: int = 4) -> Representation:
    tensors = {
        "mean": torch.full((size,), value),
        "half": torch.tensor([value, float("nan"), -0.0], dtype=torch.bfloat16),
        "view": torch.arange(6).reshape(2, 3).T,
        "scalar": torch.tensor(7),
    }
    tensors["the same tensor"] = tensors["mean"]
    return Representation(tensors, {"shape": "4 channels", "ünï": "çödé"})


def same(one: Representation, two: Representation) -> bool:
    return (
        dict(one.metadata) == dict(two.metadata)
        and one.tensors.keys() == two.tensors.keys()
        and all(
            a.dtype == b.dtype
            and torch.equal(a.contiguous().flatten().view(torch.uint8), b.contiguous().flatten().view(torch.uint8))
            for a, b in ((one.tensors[name], two.tensors[name]) for name in one.tensors)
        )
    )


@pytest.fixture(params=["disk", "s3"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.getfixturevalue('s3')}/store" if request.param == "s3" else str(tmp_path / "store")


def test_a_representation_comes_back_bit_for_bit(uri: str) -> None:
    put = RepresentationStore(uri).put("adain", "key", representation())
    assert same(put, representation())
    other = RepresentationStore(uri)
    assert other.holds("adain", "key")
    assert other.keys("adain") == {"key"}
    assert other.keys("mmist") == set()
    assert same(other.get("adain", "key"), representation())


def test_one_that_is_not_there_is_missed(uri: str) -> None:
    store = RepresentationStore(uri)
    assert not store.holds("adain", "key")
    with pytest.raises(FileNotFoundError):
        store.get("adain", "key")


def test_a_loser_reads_the_winners(uri: str) -> None:
    RepresentationStore(uri).put("adain", "key", representation(1.0))
    loser = RepresentationStore(uri)
    assert same(loser.put("adain", "key", representation(2.0)), representation(1.0))
    assert same(loser.get("adain", "key"), representation(1.0))


def test_one_without_tensors_is_stored_too(tmp_path: Path) -> None:
    words = Representation({}, {"token": "wave"})
    store = RepresentationStore(str(tmp_path))
    assert same(store.put("inst", "key", words), words)
    assert same(RepresentationStore(str(tmp_path)).get("inst", "key"), words)


def test_memory_holds_no_more_bytes_than_it_may_and_the_last_used_ones(tmp_path: Path) -> None:
    store = RepresentationStore(str(tmp_path), cache_bytes=3 * (ENTRY_BYTES + 4096))
    for key in "abc":
        store.put("adain", key, Representation({"x": torch.zeros(1024)}))
    first, second = store.get("adain", "a"), store.get("adain", "b")
    store.put("adain", "d", Representation({"x": torch.zeros(1024)}))
    assert store.get("adain", "a") is first
    assert store.get("adain", "b") is second
    held = store._cache.values()
    assert sum(tensor.nbytes for one in held for tensor in one.tensors.values()) == 3 * 4096


@pytest.mark.parametrize("cut", ["empty", "truncated", "no safetensors", "a header that lies", "pickle"])
def test_a_damaged_or_hostile_object_is_named_and_neither_run_nor_replaced(tmp_path: Path, cut: str) -> None:
    store = RepresentationStore(str(tmp_path))
    store.put("adain", "good", representation())
    good = store.folder.read("adain/good.safetensors")
    data = {
        "empty": b"",
        "truncated": good[:-5],
        "no safetensors": b"this is a text, not a tensor",
        "a header that lies": (2**62).to_bytes(8, "little") + b"{}",
        "pickle": b"\x80\x04cposix\nsystem\nX\x04\0\0\0true\x85R.",
    }[cut]
    store.folder.publish("adain/key.safetensors", data)
    with pytest.raises(RequestError, match=r"adain/key\.safetensors is damaged or no representation.*delete it"):
        store.get("adain", "key")
    with pytest.raises(RequestError):
        store.put("adain", "key", representation())
    assert store.folder.read("adain/key.safetensors") == data


def test_a_second_taker_waits_and_does_not_compute(uri: str) -> None:
    first, second = RepresentationStore(uri), RepresentationStore(uri)
    computed: list[str] = []

    def follow() -> None:
        with second.lease("adain", ["key"]) as mine:
            computed.extend(mine)
        computed.append("found" if second.wait("adain", "key") else "lost")

    with first.lease("adain", ["key"]) as mine:
        assert mine == ["key"]
        other = threading.Thread(target=follow)
        other.start()
        time.sleep(0.3)
        assert computed == []
        first.put("adain", "key", representation())
    other.join(20)
    assert computed == ["found"]
    assert second.folder.list("adain").keys() == {"adain/key.safetensors"}


def test_keys_of_two_batches_are_shared_out(tmp_path: Path) -> None:
    store = RepresentationStore(str(tmp_path))
    with store.lease("adain", ["a", "b"]) as ours, store.lease("adain", ["b", "c"]) as theirs:
        assert (ours, theirs) == (["a", "b"], ["c"])


def test_a_lease_is_given_back_after_an_error(tmp_path: Path) -> None:
    store = RepresentationStore(str(tmp_path))

    def fail() -> None:
        with store.lease("adain", ["key"]):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    with store.lease("adain", ["key"]) as mine:
        assert mine == ["key"]


@pytest.mark.parametrize(
    "renewed", [time.time() - 61, time.time() + 3600, "never", None], ids=["old", "ahead", "never", "none"]
)
def test_a_lease_of_the_dead_is_taken_over(tmp_path: Path, renewed: object) -> None:
    store = RepresentationStore(str(tmp_path))
    store.folder.publish(LEASE, json.dumps({"owner": "dead", "renewed": renewed}).encode())
    assert not store.wait("adain", "key")
    with store.lease("adain", ["key"]) as mine:
        assert mine == ["key"]


def test_a_lease_that_cannot_be_read_is_taken_over(tmp_path: Path) -> None:
    store = RepresentationStore(str(tmp_path))
    store.folder.publish(LEASE, b"\xff{")
    with store.lease("adain", ["key"]) as mine:
        assert mine == ["key"]


def test_a_heartbeat_keeps_a_lease_alive_beyond_its_time(tmp_path: Path) -> None:
    store = RepresentationStore(str(tmp_path), lease_seconds=0.4)
    with store.lease("adain", ["key"]):
        for _ in range(5):
            time.sleep(0.2)
            with store.lease("adain", ["key"]) as again:
                assert again == []


def test_a_lease_that_another_took_over_is_not_taken_from_it(tmp_path: Path) -> None:
    store = RepresentationStore(str(tmp_path))
    with store.lease("adain", ["key"]):
        theirs = json.dumps({"owner": "another", "renewed": time.time()}).encode()
        store.folder.publish(LEASE, theirs, create=False)
    assert store.folder.read(LEASE) == theirs
