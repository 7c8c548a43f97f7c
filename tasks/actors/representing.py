"""Representations that the store lacks: computed once in the cluster, whoever else is at it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar, cast

from tasks.actors.memory import make_in_halves
from tasks.methods.base import InvertingMethod, Method, Representation, Style
from tasks.references import load_style
from tasks.store import RepresentationStore
from tasks.styles import PlannedStyle

# Decoded style pictures that are held at once: pictures of styles may be as large as those of a corpus.
STYLE_BYTES = 2**29

Item = TypeVar("Item")
Loaded = list[tuple[PlannedStyle, Style]]
MethodOf = Callable[[PlannedStyle], Method]


def represent(store: RepresentationStore, method_of: MethodOf, styles: Sequence[PlannedStyle]) -> int:
    """Compute and publish what the store lacks of some styles; gives how many were computed here."""
    computed = 0
    for settings in dict.fromkeys(style.method for style in styles):
        group = {style.representation: style for style in styles if style.method == settings}
        computed += _ensure(store, settings.name, group, lambda some: _represent(store, method_of, some))
    return computed


def _ensure(
    store: RepresentationStore,
    name: str,
    wanted: Mapping[str, Item],
    compute: Callable[[Mapping[str, Item]], Iterator[tuple[str, Representation]]],
) -> int:
    """Publish what the store lacks under `name`; gives how many were computed here.

    Those that another process is at are waited for, once ours are done; computed here after all where it gave up. A
    list may be late, so each that it lacks is looked for.
    """
    computed, missing = 0, sorted(wanted.keys() - store.keys(name))
    while missing:
        with store.lease(name, missing) as mine:
            left = {key: wanted[key] for key in mine if not store.holds(name, key)}
            for key, representation in compute(left):
                store.put(name, key, representation)
                computed += 1
        missing = [key for key in missing if key not in mine and not store.wait(name, key)]
    return computed


def _represent(
    store: RepresentationStore, method_of: MethodOf, styles: Mapping[str, PlannedStyle]
) -> Iterator[tuple[str, Representation]]:
    for batch in load_in_batches(styles.values()):
        planned, loaded = [style for style, _ in batch], [style for _, style in batch]
        method = method_of(planned[0])
        if planned[0].method.inversions:
            inverting = cast(InvertingMethod, method)
            parts = list(zip(loaded, _invert(store, inverting, batch), strict=True))
            made = make_in_halves(partial(_finish, inverting), parts, lambda part: part[0].name)
        else:
            made = make_in_halves(method.represent, loaded)
        yield from zip((style.representation for style in planned), made, strict=True)


def _invert(store: RepresentationStore, method: InvertingMethod, batch: Loaded) -> list[list[Representation]]:
    """What `invert` makes of each part of each style, from the store where it is there; parts of many styles once."""
    name = batch[0][0].method.inversions
    parts = {
        key: part
        for planned, style in batch
        for key, part in zip(
            planned.inversions, style.inverted(planned.method.inverts, planned.method.inverts_apart), strict=True
        )
    }

    def invert(some: Mapping[str, Style]) -> Iterator[tuple[str, Representation]]:
        yield from zip(some, make_in_halves(method.invert, list(some.values())), strict=True)

    _ensure(store, name, parts, invert)
    return [[store.get(name, key) for key in planned.inversions] for planned, _ in batch]


def _finish(method: InvertingMethod, some: Sequence[tuple[Style, list[Representation]]]) -> list[Representation]:
    return method.represent_inverted([style for style, _ in some], [inverted for _, inverted in some])


def load_in_batches(styles: Iterable[PlannedStyle]) -> Iterator[Loaded]:
    """Styles with their pictures, as many together as `STYLE_BYTES` hold."""
    batch: Loaded = []
    held = 0
    for planned in styles:
        style = load_style(planned)
        batch.append((planned, style))
        held += sum(r.image_CHW.nbytes for r in style.references if r.image_CHW is not None)
        if held > STYLE_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
