"""Representations by key: safetensors objects, published create-only, behind a lease that saves work."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from safetensors.torch import load, save

from tasks.methods.base import Representation
from tasks.storage import Folder

# A lease that was not renewed for this long belongs to a process that died.
LEASE_SECONDS = 60.0
CACHE_BYTES = 2**30


class RepresentationStore:
    """A folder of `<method>/<key>.safetensors`. What is there is never computed again, by anyone."""

    def __init__(self, uri: str, cache_bytes: int = CACHE_BYTES) -> None:
        self.folder = Folder(uri)
        self._cache: OrderedDict[str, Representation] = OrderedDict()
        self._room = cache_bytes

    def keys(self, method: str) -> set[str]:
        """Keys that the store holds of a method."""
        names = self.folder.list(method)
        return {n.rsplit("/", 1)[1].removesuffix(".safetensors") for n in names if n.endswith(".safetensors")}

    def get(self, method: str, key: str) -> Representation:
        """A representation, from memory where it was read before. Raises FileNotFoundError."""
        name = _name(method, key)
        if name not in self._cache:
            self._remember(name, _unpack(self.folder.read(name)))
        self._cache.move_to_end(name)
        return self._cache[name]

    def put(self, method: str, key: str, representation: Representation) -> Representation:
        """Publish a representation; where another was first, its own is returned: the store is the truth."""
        self.folder.publish(_name(method, key), _pack(representation))
        return self.get(method, key)

    @contextmanager
    def lease(self, method: str, keys: Sequence[str]) -> Iterator[list[str]]:
        """Take the keys that nobody else is computing now; renewed until the block ends."""
        taken = {key: uuid.uuid4().hex for key in keys}
        mine = [key for key, token in taken.items() if self._take(method, key, token)]
        done = threading.Event()
        heart = threading.Thread(target=self._beat, args=(method, mine, taken, done), daemon=True)
        heart.start()
        try:
            yield mine
        finally:
            done.set()
            heart.join()
            for key in mine:
                self.folder.delete(_lease_name(method, key))

    def wait(self, method: str, key: str) -> bool:
        """Wait for another's work: True when the representation is there, False when its lease ran out."""
        while key not in self.keys(method):
            if not self._is_leased(method, key):
                return key in self.keys(method)
            time.sleep(1.0)
        return True

    def _take(self, method: str, key: str, token: str) -> bool:
        data = _lease(token)
        if self.folder.publish(_lease_name(method, key), data):
            return True
        if self._is_leased(method, key):
            return False
        # Two takers of a dead lease may both go on: that costs work, never truth.
        return self.folder.publish(_lease_name(method, key), data, create=False)

    def _is_leased(self, method: str, key: str) -> bool:
        data = self.folder.read_or_none(_lease_name(method, key))
        return data is not None and time.time() - json.loads(data)["renewed"] < LEASE_SECONDS

    def _beat(self, method: str, keys: list[str], tokens: dict[str, str], done: threading.Event) -> None:
        while not done.wait(LEASE_SECONDS / 4):
            for key in keys:
                self.folder.publish(_lease_name(method, key), _lease(tokens[key]), create=False)

    def _remember(self, name: str, representation: Representation) -> None:
        self._cache[name] = representation
        self._room -= _bytes(representation)
        while self._room < 0 and len(self._cache) > 1:
            _, oldest = self._cache.popitem(last=False)
            self._room += _bytes(oldest)


def _name(method: str, key: str) -> str:
    return f"{method}/{key}.safetensors"


def _lease_name(method: str, key: str) -> str:
    return f"{method}/{key}.lease"


def _lease(token: str) -> bytes:
    return json.dumps({"owner": token, "renewed": time.time()}).encode()


def _pack(representation: Representation) -> bytes:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in representation.tensors.items()}
    return save(tensors, metadata=dict(representation.metadata))


def _unpack(data: bytes) -> Representation:
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    return Representation(load(data), header.get("__metadata__", {}))


def _bytes(representation: Representation) -> int:
    return sum(tensor.nbytes for tensor in representation.tensors.values())
