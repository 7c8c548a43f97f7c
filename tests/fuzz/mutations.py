"""What happens to bytes on their way to a reader: by accident, and on purpose."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], bytearray]

# Lengths and counts that parsers get wrong: none, the largest of each size, the sign bit, just above and below.
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
# What other programs look for at the start or the end of a file.
FOREIGN = (
    b"PK\x03\x04" + b"\0" * 26,
    b"PK\x05\x06" + b"\0" * 18,
    b"%PDF-1.7\n1 0 obj\n",
    b"%!PS-Adobe-3.0\n(x) run\n",
    b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    b"<?php system($_GET[0]); ?>",
    b"\x7fELF\x02\x01\x01",
    b"MZ\x90\0",
    b"#!/bin/sh\nrm -rf /\n",
    b"\x80\x04cos\nsystem\n(S'id'\ntR.",
    b"Rar!\x1a\x07\0",
    b"\x1f\x8b\x08\0\0\0\0\0",
)
MAX_BLOCK = 512
MAX_FILE = 2**20


def flip_bits(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytearray:
    """A few bits turned."""
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def set_bytes(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytearray:
    """A few bytes replaced by any."""
    for _ in range(rng.choice((1, 4, 32))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return data


def edit_length(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytearray:
    """A number of 1, 2, 4 or 8 bytes replaced by one that parsers get wrong; most often near the start."""
    size = rng.choice((1, 2, 4, 4, 8))
    place = rng.randrange(max(1, min(len(data), rng.choice((64, 256, len(data))))))
    value = (rng.choice(EDGES) + rng.choice((0, 0, -1, 1))) % 256**size
    data[place : place + size] = value.to_bytes(size, rng.choice(("little", "big")))
    return data


def truncate(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytearray:
    """Cut at the end, anywhere."""
    return data[: rng.randrange(len(data))]


def cut_out(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytearray:
    """A block gone."""
    start = rng.randrange(len(data))
    del data[start : start + rng.randrange(1, MAX_BLOCK)]
    return data


def repeat(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytearray:
    """A block several times over."""
    start = rng.randrange(len(data))
    block = data[start : start + rng.randrange(1, MAX_BLOCK)]
    data[start:start] = block * rng.choice((1, 2, 16, 200))
    return data


def fill(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytearray:
    """A block of one value."""
    start = rng.randrange(len(data))
    length = min(len(data) - start, rng.randrange(1, MAX_BLOCK))
    data[start : start + length] = bytes([rng.choice((0, 0xFF, rng.randrange(256)))]) * length
    return data


def splice(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """The start of this file and the end of another."""
    other = rng.choice(others)
    return data[: rng.randrange(1, len(data) + 1)] + other[rng.randrange(len(other)) :]


def insert_other(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """A block of another file."""
    other, place = rng.choice(others), rng.randrange(len(data))
    start = rng.randrange(len(other))
    data[place:place] = other[start : start + rng.randrange(1, MAX_BLOCK)]
    return data


def make_polyglot(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Two files in one: another one before, behind, or over the start."""
    other = bytearray(rng.choice((*FOREIGN, rng.choice(others))))
    return rng.choice((data + other, other + data, other + data[len(other) :]))


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    set_bytes,
    edit_length,
    edit_length,
    truncate,
    cut_out,
    repeat,
    fill,
    splice,
    insert_other,
    make_polyglot,
)


def mutate(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """One of the seeds after one mutation or several."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        if data:
            data = rng.choice(MUTATIONS)(data, rng, seeds)
    return bytes(data[:MAX_FILE])
