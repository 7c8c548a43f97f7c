"""Which usable pictures the styles of a labelled table are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice

import pyarrow as pa

from tasks.labelled.labels import LabelledTable
from tasks.labelled.place import MARK, RowPlace
from tasks.labelled.rows import ROWS
from tasks.labelled.selection import Selected
from tasks.labelled.wording import SHOWN, Say, list_names, number, quote, show
from tasks.records import RequestError
from tasks.storage import Folder, shorten_error, storage_errors


@dataclass
class _Drawn:
    """How far the draw of one class is: what is left of it, what is usable, what is broken and why."""

    left: Iterator[RowPlace]
    usable: list[RowPlace] = field(default_factory=list)
    broken: list[tuple[RowPlace, str]] = field(default_factory=list)

    def take(self, places: Sequence[RowPlace], reasons: Mapping[str, str | None], wanted: int) -> None:
        """Go through pictures that were read, until as many as are wanted are usable."""
        for place in places:
            if len(self.usable) == wanted:
                return
            reason = reasons[place.uri]
            if reason is None:
                self.usable.append(place)
            else:
                self.broken.append((place, reason))


def draw(selected: Selected, say: Say, keep: Folder | None = None) -> dict[str, list[RowPlace]]:
    """The pictures of each class, by class name, in the order of the draw: usable ones, each read and decoded once.

    The draw ranks the rows of a class by a digest of (seed, path below the table, row), so that the same are drawn
    whatever the other classes, the threads and the order of files. Those that are broken make room for the next. Copies
    are put into `keep`. Raises RequestError.
    """
    wanted = selected.table.settings.pictures
    drawn = {name: _Drawn(selected.places(name)) for name in selected.names}
    for attempt in count():
        # More each time, so that many broken pictures do not mean as many times of reading.
        places = {name: list(islice(one.left, (wanted - len(one.usable)) * 2**attempt)) for name, one in drawn.items()}
        if not any(places.values()):
            break
        reasons = _check(selected.table, [place for some in places.values() for place in some], keep)
        for name, some in places.items():
            drawn[name].take(some, reasons, wanted)
    _say_what_is_broken(selected.table.uri, drawn, say)
    _check_usable(selected, drawn, say)
    chosen = {name: one.usable for name, one in drawn.items() if one.usable}
    _say_what_was_found(selected, chosen, say)
    return chosen


def _check(table: LabelledTable, places: Sequence[RowPlace], keep: Folder | None) -> dict[str, str | None]:
    """By URI, why a picture cannot be used; None where it can."""
    try:
        found = ROWS.check(places, keep)
    except (pa.ArrowInvalid, *storage_errors(table.root.filesystem)) as error:
        raise RequestError(
            f"The pictures of the table {table.uri} cannot be read ({shorten_error(error)}): check its files."
        ) from error
    return {uri: None if one.sha256 else one.reason for uri, one in found.items()}


def _say_what_is_broken(uri: str, drawn: Mapping[str, _Drawn], say: Say) -> None:
    broken = [(name, place, reason) for name, one in drawn.items() for place, reason in one.broken]
    for name, place, reason in broken[:SHOWN]:
        where = f"{place.file}{MARK}{place.row}"
        say(f"{where} of {show(name)} is no usable picture ({reason}) and was passed over.")
    if len(broken) > SHOWN:
        say(f"{uri}: {number(len(broken) - SHOWN, 'more picture')} that cannot be used: passed over.")


def _check_usable(selected: Selected, drawn: Mapping[str, _Drawn], say: Say) -> None:
    """Tell of classes that are short of pictures. Raises RequestError where one that was named has none."""
    settings, uri = selected.table.settings, selected.table.uri
    tried = {name: f"{len(one.usable)} of {len(one.usable) + len(one.broken)}" for name, one in drawn.items()}
    short = [name for name, one in drawn.items() if 0 < len(one.usable) < settings.pictures]
    none = [name for name, one in drawn.items() if not one.usable]
    if none and (settings.classes or len(none) == len(drawn)):
        raise RequestError(
            f"No picture of {quote(none[0])} in the table {uri} can be used ({tried[none[0]]}): leave that class out."
        )
    if short:
        say(f"{uri}: fewer than {settings.pictures} usable pictures: {list_names(short, tried)}.")
    if none:
        say(f"{uri}: left out, since no picture can be used: {list_names(none, tried)}.")


def _say_what_was_found(selected: Selected, chosen: Mapping[str, Sequence[RowPlace]], say: Say) -> None:
    settings, uri, found = selected.table.settings, selected.table.uri, selected.found
    if found.unlabelled:
        say(f"{uri}: {number(found.unlabelled, 'picture')} without {settings.by}: passed over.")
    pictures = sum(map(len, chosen.values()))
    styles = pictures if settings.per == "picture" else len(chosen)
    what = f"{number(styles, 'style')} of {number(pictures, 'picture')} by {settings.by}"
    say(f"{uri}: {what}: {list_names(list(chosen), found.counts)}.")
