"""Which classes of a labelled table become styles: those that a job names, or all, or the largest."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from tasks.labelled.features import PLACES
from tasks.labelled.labels import Found, LabelledTable
from tasks.labelled.place import RowPlace
from tasks.labelled.settings import TableSettings
from tasks.labelled.wording import SHOWN, Say, list_names, quote, show
from tasks.records import RequestError

# A job of more styles than this wants another tool, or has a column of titles for its classes.
MOST_STYLES = 4096


@dataclass(frozen=True)
class Selected:
    """The classes of a table that become styles, in the order in which they were named, else sorted."""

    table: LabelledTable
    found: Found
    names: Sequence[str]

    def places(self, name: str) -> Iterator[RowPlace]:
        """Where the pictures of a class are, in the order of the draw."""
        return (self.table.place(path, row) for _, path, row in self.found.ranked[name])


def select(settings: TableSettings, say: Say) -> Selected:
    """The classes that a job asks for; reads labels and no picture. Raises RequestError."""
    table = LabelledTable(settings)
    found = table.find()
    if not found.rows:
        raise RequestError(f"The table {table.uri} has no rows: name another.")
    for column in found.unnamed:
        say(f"{table.uri}: {column} has numbers without names: none are in the files, nor in {PLACES}.")
    names = _select(settings, table.uri, found, say)
    styles = len(names) * (settings.pictures if settings.per == "picture" else 1)
    if styles > MOST_STYLES:
        raise RequestError(
            f"The table {table.uri} gives {styles} styles, and a job takes {MOST_STYLES} of it at most: name some "
            "`classes`, or lower `at_most` or `pictures`."
        )
    return Selected(table, found, names)


def _select(settings: TableSettings, uri: str, found: Found, say: Say) -> list[str]:
    for column, wanted in {settings.by: settings.classes or (), **settings.where}.items():
        for name in wanted:
            _check_known(uri, column, name, found)
    names = list(dict.fromkeys(settings.classes)) if settings.classes else sorted(found.counts)
    _check_not_empty(settings, uri, found, names)
    few = [name for name in names if found.counts[name] < settings.min_pictures]
    if few:
        say(f"{uri}: left out for fewer than {settings.min_pictures} pictures: {list_names(few, found.counts)}.")
    enough = [name for name in names if name not in set(few)]
    if not enough:
        raise RequestError(f"No class of the table {uri} has {settings.min_pictures} pictures: lower `min_pictures`.")
    if settings.at_most is not None:
        most = set(heapq.nsmallest(settings.at_most, enough, key=lambda name: (-found.counts[name], name)))
        enough = [name for name in enough if name in most]
    return enough


def _check_known(uri: str, column: str, name: str, found: Found) -> None:
    """Raise RequestError where a column has no such class, with those that it has."""
    labels = sorted(found.labels.get(column, ()))
    if name in labels:
        return
    plain = {_plain(label): label for label in labels}
    near = [plain[one] for one in get_close_matches(_plain(name), plain, SHOWN // 4, 0.6)]
    if near:
        hint = f"did you mean {' or '.join(map(quote, near))}?"
    else:
        more = ", ..." if len(labels) > SHOWN else ""
        hint = f"it has {', '.join(map(show, labels[:SHOWN]))}{more}." if labels else "it has none at all."
    if column in found.unnamed:
        hint += f" They are numbers without names: put names into {PLACES}."
    raise RequestError(f"The table {uri} has no {column} {quote(name)}: {hint}")


def _check_not_empty(settings: TableSettings, uri: str, found: Found, names: Sequence[str]) -> None:
    """Raise RequestError where there is no picture at all, or none of a class that is asked for."""
    empty = next((name for name in names if not found.counts[name]), None)
    passed = " that `where` lets through" if settings.where else ""
    if empty is not None:
        loosen = "loosen it, or " if passed else ""
        raise RequestError(
            f"The table {uri} has no picture of the {settings.by} {quote(empty)}{passed}: {loosen}leave that class out."
        )
    if not names:
        todo = "loosen it" if passed else "name another column in `by`"
        raise RequestError(f"The table {uri} has no picture with a class of {settings.by!r}{passed}: {todo}.")


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-").replace(" ", "-")
