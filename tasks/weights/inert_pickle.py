"""Pickles read as data: what a file names or calls becomes a record; nothing is ever imported or called.

Python's unpickler turns names into objects and calls them. This machine has no way to do either, so no list of
forbidden names can be too short; which names a caller accepts is a second, separate question.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

# A snapshot of three networks at 1024 x 1024 has about 40,000; each may take up to 100 bytes of memory.
MAX_OPERATIONS = 1_000_000
SHOWN = 120  # characters of a name
BROKEN = (IndexError, KeyError, ValueError, OverflowError, MemoryError)


class RefusalError(Exception):
    """Why a pickle is not read: the middle of a sentence about "it", the file."""


@dataclass(frozen=True)
class Name:
    """A global that a pickle names, such as `collections.OrderedDict`."""

    module: str
    attribute: str

    def __str__(self) -> str:
        """The name on one short line: a file could put a terminal's control codes into it, or a gigabyte."""
        text = f"{self.module}.{self.attribute}"[:SHOWN]
        return text if text.isprintable() else ascii(text)[1:-1]


@dataclass(eq=False, repr=False, slots=True)
class Call:
    """A call that a pickle asks for, not made: of what, with what, and what is to be put into the result."""

    callee: Any
    arguments: Any
    items: dict[Any, Any] = field(default_factory=dict)
    state: Any = None


@dataclass(eq=False, repr=False, slots=True)
class Outside:
    """An object that a pickle says is kept outside it, by that identity."""

    identity: Any


@dataclass(eq=False, repr=False)
class Reading:
    """A pickle as data: its object, made of constants, containers, Names, Calls and Outsides; and its Calls."""

    root: Any
    calls: list[Call]


def parse(stream: BinaryIO, meet: Callable[[Name], None]) -> Reading:
    """Read one pickle of protocol 2 or later, and leave the stream behind it.

    `meet` gets every global that the pickle names, as it is named, and may raise. Raises RefusalError.
    """
    machine = _Machine(meet)
    try:
        for count, (code, argument, _) in enumerate(pickletools.genops(stream)):
            if count == 0 and code.name != "PROTO":
                raise RefusalError("it is not a pickle of protocol 2 or later")
            if count == MAX_OPERATIONS:
                raise RefusalError(f"it has more than {MAX_OPERATIONS:,} operations")
            machine.do(code.name, argument)
        return Reading(machine.stack.pop(), machine.calls)
    except BROKEN as error:
        raise RefusalError("it is not a whole pickle") from error


def accept_only(allowed: frozenset[Name], what: str) -> Callable[[Name], None]:
    """For `parse`: refuse every other global, which no `what` needs."""

    def meet(name: Name) -> None:
        if name not in allowed:
            raise RefusalError(f"it names {name}, which no {what} needs")

    return meet


def note(found: dict[str, bool], allowed: frozenset[Name]) -> Callable[[Name], None]:
    """For `parse`: put every global into `found`, and whether it is allowed; refuse none."""

    def meet(name: Name) -> None:
        # Different names can look alike: `b.c` of `a`, and `c` of `a.b`.
        found[str(name)] = name in allowed and found.get(str(name), True)

    return meet


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self, meet: Callable[[Name], None]) -> None:
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        # A dictionary: the memo of Python's own unpickler is as long as the largest number in the file.
        self.memo: dict[int, Any] = {}
        self.calls: list[Call] = []
        self.meet = meet

    def do(self, operation: str, argument: Any) -> None:
        if operation in CONSTANTS:
            self.stack.append(argument)
        elif operation in EMPTY:
            self.stack.append(EMPTY[operation]())
        elif operation in OPERATIONS:
            OPERATIONS[operation](self, argument)
        else:
            raise RefusalError(f"it has the operation {operation}, which no weights need")

    def take(self, count: int) -> tuple[Any, ...]:
        """The last values, in their order. Pops one by one: a slice would pass over a stack that is too short."""
        return tuple(reversed([self.stack.pop() for _ in range(count)]))

    def take_to_mark(self) -> list[Any]:
        values, self.stack = self.stack, self.marked.pop()
        return values

    def mark(self, _: Any) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def memoize(self, index: int | None) -> None:
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def recall(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def make_tuple(self, _: Any) -> None:
        values = tuple(self.take_to_mark())  # first: it puts another stack in place
        self.stack.append(values)

    def make_short_tuple(self, count: int) -> None:
        self.stack.append(self.take(count))

    def name(self, argument: str) -> None:
        module, _, attribute = argument.partition(" ")
        self.add_name(module, attribute)

    def name_from_stack(self, _: Any) -> None:
        self.add_name(*self.take(2))

    def add_name(self, module: Any, attribute: Any) -> None:
        if not (isinstance(module, str) and isinstance(attribute, str)):
            raise RefusalError("it computes the name of a global")
        name = Name(module, attribute)
        self.meet(name)
        self.stack.append(name)

    def call(self, _: Any) -> None:
        self.calls.append(Call(*self.take(2)))
        self.stack.append(self.calls[-1])

    def build(self, _: Any) -> None:
        target, state = self.take(2)
        if not isinstance(target, Call) or target.state is not None:
            raise RefusalError("it puts a state into what takes none")
        target.state = state
        self.stack.append(target)

    def set_item(self, _: Any) -> None:
        self.put(self.take(2))

    def set_items(self, _: Any) -> None:
        self.put(self.take_to_mark())

    def put(self, flat: Iterable[Any]) -> None:
        """Put keys and values, in turns, into the container below them."""
        target = self.stack[-1]
        mapping = target.items if isinstance(target, Call) else target
        if not isinstance(mapping, dict):
            raise RefusalError("it puts named items into what takes none")
        turns = iter(flat)
        mapping.update((_check_key(key), value) for key, value in zip(turns, turns, strict=True))

    def append(self, _: Any) -> None:
        self.extend(self.take(1))

    def append_all(self, _: Any) -> None:
        self.extend(self.take_to_mark())

    def extend(self, values: Iterable[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise RefusalError("it appends to what is no list")
        self.stack[-1].extend(values)

    def add_all(self, _: Any) -> None:
        values = self.take_to_mark()
        if not isinstance(self.stack[-1], set):
            raise RefusalError("it adds to what is no set")
        self.stack[-1].update(map(_check_key, values))

    def point_outside(self, _: Any) -> None:
        self.stack.append(Outside(self.stack.pop()))


def _check_key(key: Any) -> str | int:
    """Hashing a tuple of tuples, nested a million deep, would overflow the stack of the process."""
    if not isinstance(key, str | int):
        raise RefusalError("it has a key that is neither text nor a number")
    return key


def _constant(value: Any) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(value)


def _short_tuple(count: int) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.make_short_tuple(count)


def _ignore(_machine: _Machine, _argument: Any) -> None:
    pass


# What a pickle of protocol 2 to 5 needs for data, and no more: nothing of extension codes, buffers, old classes.
CONSTANTS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"),
}
EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": set, "EMPTY_TUPLE": tuple}
OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _ignore,
    "FRAME": _ignore,
    "STOP": _ignore,
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "MARK": _Machine.mark,
    "MEMOIZE": _Machine.memoize,
    "BINPUT": _Machine.memoize,
    "LONG_BINPUT": _Machine.memoize,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "TUPLE": _Machine.make_tuple,
    "TUPLE1": _short_tuple(1),
    "TUPLE2": _short_tuple(2),
    "TUPLE3": _short_tuple(3),
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_from_stack,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.append_all,
    "ADDITEMS": _Machine.add_all,
    "BINPERSID": _Machine.point_outside,
}
