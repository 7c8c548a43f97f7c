"""Headers of tar files: what lies where, read without the members themselves, and refused where it is hostile.

The formats are ustar, GNU's long names and pax (POSIX.1-2001); Python's tarfile reads a header of any size into
memory, follows links and takes four times as long.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BLOCK = 512
# A name, or the pax records of a member; what is longer is no header that anyone wrote for a name.
EXTRA_BYTES = 2**16
END = bytes(BLOCK)
ADLER_PRIME = 65521
# Besides "0": what old writers wrote for it, and a contiguous file.
REGULAR = frozenset([0, ord("7")])
KINDS = {"1": "a link", "2": "a link", "3": "a device", "4": "a device", "6": "a pipe", "S": "a sparse file"}
NO_TEXT = frozenset(["Cc", "Cs", "Zl", "Zp"])


class TarError(ValueError):
    """The tar is damaged or has members that no corpus may have; the message is the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in a tar: its name, where its first header begins, and where its bytes are."""

    name: str
    first: int
    start: int
    size: int

    @property
    def stop(self) -> int:
        """Where the next header begins."""
        return self.start + _padded(self.size)


@dataclass
class _Extra:
    """What headers before a member's own say of it."""

    first: int
    name: str | None = None
    size: int | None = None


def read_members(file: Any, length: int | None, is_part: bool = False) -> Iterator[Member]:
    """Regular members of a tar, in order; only headers are read, the rest is skipped by seeking.

    `length` is the file's own, None where it is not known (compressed). A part of a tar has no end mark. Raises
    TarError.
    """
    place, extra = 0, _Extra(0)
    while (block := _read(file, place, BLOCK, is_part)) not in (None, END):
        assert block is not None  # None has ended the loop
        size, kind = _number(block[124:136]), _check(block)
        if kind in "Lx":
            _learn(extra, kind, _read_extra(file, place, size))
        elif kind not in "Kg":
            member = _member(extra, block, place, size)
            size = member.size
            if length is not None and member.start + size > length:
                raise TarError(f"breaks off within {member.name!r}: copy it anew")
            if kind == "0" and member.name:
                yield member
            elif kind not in "05":
                said = KINDS.get(kind, "a member of an unknown kind")
                raise TarError(f"has {said} ({member.name[:100]!r}): leave it out")
            extra = _Extra(member.stop)
        place += BLOCK + _padded(size)


def split_key(name: str) -> tuple[str, str] | None:
    """(key, ending) of a member: up to the first dot of its file name, and after it; None of hidden files."""
    folder, slash, base = name.rpartition("/")
    stem, dot, ending = base.partition(".")
    return (f"{folder}{slash}{stem}", ending.lower()) if stem and dot else None


def _read(file: Any, place: int, size: int, is_part: bool) -> bytes | None:
    """A block; None at the end of a part."""
    reached = file.seek(place)
    block = bytes(file.read(size)) if reached in (place, None) else b""
    if len(block) == size:
        return block
    if is_part and not block:
        return None
    raise TarError("breaks off: it has no end mark; copy it anew")


def _read_extra(file: Any, place: int, size: int) -> bytes:
    if size > EXTRA_BYTES:
        raise TarError(f"has a header of {size} bytes: make it anew")
    data = _read(file, place + BLOCK, size, False)
    assert data is not None  # only a part ends, and not with a header
    return data


def _check(block: bytes) -> str:
    """The kind of member that a header tells of. Raises TarError where it is no header."""
    # The sum of all bytes, with spaces in the place of the sum itself. Adler's checksum knows it modulo its prime (RFC
    # 1950), in a fraction of the time that adding takes here.
    total = (zlib.adler32(block) & 0xFFFF) - 1
    if (total - sum(block[148:156]) + 8 * ord(" ") - _number(block[148:156])) % ADLER_PRIME:
        raise TarError("is no tar, or a damaged one: copy it anew")
    return "0" if block[156] in REGULAR else chr(block[156])


def _number(field: bytes) -> int:
    """Octal digits, or base 256 for what has too many."""
    if field[0] & 0x80:
        number = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        if field[0] & 0x40 or number >= 2**63:
            raise TarError("has a number that cannot be: make it anew")
        return number
    digits = field.split(b"\0", 1)[0].strip()
    if digits and (not digits.isdigit() or b"8" in digits or b"9" in digits):
        raise TarError("is no tar, or a damaged one: copy it anew")
    return int(digits or b"0", 8)


def _learn(extra: _Extra, kind: str, data: bytes) -> None:
    if kind == "L":
        extra.name = _text(data.rstrip(b"\0"))
        return
    for key, value in _pax(data):
        if key == b"path":
            extra.name = _text(value)
        elif key == b"size":
            extra.size = _pax_size(value)
        elif key.startswith(b"GNU.sparse"):
            raise TarError("has a sparse file: make it anew without")


def _pax(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Records of a pax header: `length key=value\\n`."""
    while data.rstrip(b"\0"):
        digits, _, _ = data.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 7 else 0
        record, data = data[:length], data[length:]
        key, is_there, value = record[len(digits) + 1 :].partition(b"=")
        if not is_there or not value.endswith(b"\n"):
            raise TarError("has a damaged header: copy it anew")
        yield key, value[:-1]


def _pax_size(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise TarError("has a size that cannot be: make it anew")
    return int(value)


def _member(extra: _Extra, block: bytes, place: int, size: int) -> Member:
    """What a header tells of; a folder, whatever its kind, has no name."""
    name = extra.name if extra.name is not None else _own_name(block)
    tidy = "" if name.endswith("/") else _tidy(name)
    return Member(tidy, extra.first, place + BLOCK, size if extra.size is None else extra.size)


def _own_name(block: bytes) -> str:
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].split(b"\0", 1)[0] + b"/" + name
    return _text(name)


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise TarError(f"has a member whose name {name[:100]!r} is not UTF-8: rename it") from error


def _tidy(name: str) -> str:
    """A member's name without `./` before it. Raises TarError where no file below a folder could have it."""
    while name.startswith("./"):
        name = name[2:]
    if name.startswith("/") or "\\" in name or ".." in name.split("/"):
        raise TarError(f"has a member {name[:100]!r}, which leads out of it: rename it")
    if not name.isprintable() and NO_TEXT & {unicodedata.category(character) for character in name}:
        raise TarError(f"has a member {name[:100]!r} with control characters in its name: rename it")
    return name


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
