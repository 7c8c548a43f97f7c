"""A file from elsewhere, opened to be read as data: why it is refused becomes the sentence that a user reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from tasks.records import RequestError
from tasks.weights.inert_pickle import RefusalError


@contextmanager
def open_untrusted(path: Path, what: str, max_bytes: float) -> Iterator[BufferedReader]:
    """The file; a RefusalError while it is open becomes a RequestError. `what` says what should be there."""
    try:
        if not path.is_file():
            raise RequestError(f"There is no {what} at {path}.")
        if path.stat().st_size > max_bytes:
            raise RefusalError(f"it is larger than {max_bytes / 1e9:g} GB")
        with open(path, "rb") as file:
            yield file
    except RefusalError as refusal:
        raise RequestError(f"{path.name} is refused: {refusal}; nothing in it was run.") from refusal
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.") from error
