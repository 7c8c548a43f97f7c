"""Representations by key: safetensors objects, published create-only, behind a lease that saves work."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from safetensors import SafetensorError

from tasks.methods.bars import tell
from tasks.methods.base import Representation
from tasks.records import RequestError
from tasks.storage import Folder, storage_errors

# A lease that was not renewed for this long belongs to a process that died.
LEASE_SECONDS = 60.0
POLL_SECONDS = 1.0
CACHE_BYTES = 2**30
# What a representation without tensors takes in memory, roughly.
ENTRY_BYTES = 2**10


class RepresentationStore:
    """A folder of `<method>/<key>.safetensors`. What is there is never computed again, by anyone.

    The create-only publish is the truth; leases only save work. An object that is no representation is an
    error that names it, and is neither computed again in silence nor replaced: others may read this store.
    """

    def __init__(self, uri: str, cache_bytes: int = CACHE_BYTES, lease_seconds: float = LEASE_SECONDS) -> None:
        self.folder = Folder(uri)
        self.lease_seconds = lease_seconds
        self._cache: OrderedDict[str, Representation] = OrderedDict()
        self._room = cache_bytes

    def keys(self, method: str) -> set[str]:
        """Keys that the store holds of a method."""
        names = self.folder.list(method)
        return {n.rsplit("/", 1)[1].removesuffix(".safetensors") for n in names if n.endswith(".safetensors")}

    def holds(self, method: str, key: str) -> bool:
        """Whether a representation is there."""
        return self.folder.exists(_name(method, key))

    def get(self, method: str, key: str) -> Representation:
        """A representation, from memory where it was read before.

        Raises FileNotFoundError, and RequestError where the object is damaged or no representation.
        """
        name = _name(method, key)
        if name not in self._cache:
            self._remember(name, self._unpack(name, self.folder.read(name)))
        self._cache.move_to_end(name)
        return self._cache[name]

    def put(self, method: str, key: str, representation: Representation) -> Representation:
        """Publish a representation; where another was first, its own is returned: the store is the truth."""
        name, data = _name(method, key), _pack(representation)
        if self.folder.publish(name, data) and name not in self._cache:
            self._remember(name, self._unpack(name, data))
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
                self._release(method, key, taken[key])

    def wait(self, method: str, key: str) -> bool:
        """Wait for another's work: True when the representation is there, False when its lease ran out."""
        while not self.holds(method, key):
            if not self._is_leased(method, key):
                return self.holds(method, key)
            tell("waiting for a representation that another process computes")
            time.sleep(min(POLL_SECONDS, self.lease_seconds / 4))
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
        """Whether somebody renewed the lease of late. A clock that runs ahead must not lease for ever."""
        _, renewed = _read_lease(self.folder.read_or_none(_lease_name(method, key)))
        return abs(time.time() - renewed) < self.lease_seconds

    def _release(self, method: str, key: str, token: str) -> None:
        """Give a lease back, unless it ran out and another has it now."""
        name = _lease_name(method, key)
        if _read_lease(self.folder.read_or_none(name))[0] == token:
            self.folder.delete(name)

    def _beat(self, method: str, keys: list[str], tokens: dict[str, str], done: threading.Event) -> None:
        while not done.wait(self.lease_seconds / 4):
            for key in keys:
                with suppress(*storage_errors(self.folder.filesystem)):
                    self.folder.publish(_lease_name(method, key), _lease(tokens[key]), create=False)

    def _remember(self, name: str, representation: Representation) -> None:
        self._cache[name] = representation
        self._room -= _bytes(representation)
        while self._room < 0 and len(self._cache) > 1:
            _, oldest = self._cache.popitem(last=False)
            self._room += _bytes(oldest)

    def _unpack(self, name: str, data: bytes) -> Representation:
        # Only here: torch takes seconds to import, and who looks for keys needs none of it.
        from safetensors.torch import load

        from tasks.weights.loading import read_metadata

        try:
            tensors = load(data)
        except (SafetensorError, KeyError) as error:
            raise RequestError(
                f"{self.folder.uri}/{name} is damaged or no representation ({error}): "
                "delete it, and it is computed again."
            ) from error
        return Representation(tensors, read_metadata(data))


def _name(method: str, key: str) -> str:
    return f"{method}/{key}.safetensors"


def _lease_name(method: str, key: str) -> str:
    return f"{method}/{key}.lease"


def _lease(token: str) -> bytes:
    return json.dumps({"owner": token, "renewed": time.time()}).encode()


def _pack(representation: Representation) -> bytes:
    from safetensors.torch import save

    # Cloned, since safetensors takes no two names of one tensor: a text's whole is its only patch, to clipstyler.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in representation.tensors.items()}
    return save(tensors, metadata=dict(representation.metadata))


def _read_lease(data: bytes | None) -> tuple[str, float]:
    """Owner and time of a lease; one that is none, or cannot be read, was never renewed."""
    try:
        lease = json.loads(data or b"{}")
        return str(lease["owner"]), float(lease["renewed"])
    except (ValueError, KeyError, TypeError):
        return "", 0.0


def _bytes(representation: Representation) -> int:
    return ENTRY_BYTES + sum(tensor.nbytes for tensor in representation.tensors.values())
