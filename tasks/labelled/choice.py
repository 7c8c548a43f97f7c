"""Which classes of a labelled table become styles, and which usable pictures they are made of."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

import pyarrow as pa

from tasks.labelled.features import PLACES
from tasks.labelled.labels import Found, LabelledTable, Ranked
from tasks.labelled.place import RowPlace
from tasks.labelled.rows import ROWS
from tasks.labelled.settings import TableSettings
from tasks.records import RequestError
from tasks.storage import Folder, shorten_error, storage_errors

Say = Callable[[str], None]
# Names shown in one sentence.
SHOWN = 12
# A job of more styles than this wants another tool, or has a column of titles for its classes.
MOST_STYLES = 4096


def choose(settings: TableSettings, say: Say, keep: Folder | None = None) -> dict[str, list[RowPlace]]:
    """The pictures of each class, by class name, in the order of the draw: usable ones, each read and decoded once.

    The draw ranks the rows of a class by a digest of (seed, path below the table, row), so that the same are
    chosen whatever the other classes, the threads and the order of files. Copies are put into `keep`. Raises
    RequestError.
    """
    table = LabelledTable(settings)
    found = table.find()
    names = _select(settings, table.uri, found, say)
    if settings.per == "picture" and len(names) * settings.pictures > MOST_STYLES:
        raise RequestError(
            f"The table {table.uri} gives more than {MOST_STYLES} styles: lower `pictures` or `at_most`."
        )
    chosen = _draw_usable(table, {name: found.ranked[name] for name in names}, say, keep)
    _say_what_was_found(settings, table.uri, found, chosen, say)
    return chosen


def _select(settings: TableSettings, uri: str, found: Found, say: Say) -> list[str]:
    """Names of the classes, in the order in which they were named, else sorted."""
    _check_classes(settings, uri, found, say)
    names = list(dict.fromkeys(settings.classes)) if settings.classes else sorted(found.counts)
    empty = [name for name in names if not found.counts[name]]
    if empty or not names:
        which = f"of the {settings.by} {empty[0]!r}" if empty else f"with a class of {settings.by!r}"
        passed = " that `where` lets through" if settings.where else ""
        raise RequestError(f"The table {uri} has no picture {which}{passed}: ask for others.")
    few = [name for name in names if found.counts[name] < settings.min_pictures]
    if few:
        say(f"{uri}: left out for fewer than {settings.min_pictures} pictures: {_list(few, found)}.")
    enough = [name for name in names if name not in set(few)]
    if not enough:
        raise RequestError(f"No class of the table {uri} has {settings.min_pictures} pictures: lower `min_pictures`.")
    if settings.at_most is not None:
        most = set(heapq.nsmallest(settings.at_most, enough, key=lambda name: (-found.counts[name], name)))
        enough = [name for name in enough if name in most]
    if len(enough) > MOST_STYLES:
        raise RequestError(
            f"The column {settings.by!r} of the table {uri} has {len(enough)} classes: name some, or set `at_most`."
        )
    return enough


def _draw_usable(
    table: LabelledTable, ranked: Mapping[str, Sequence[Ranked]], say: Say, keep: Folder | None
) -> dict[str, list[RowPlace]]:
    """The first usable pictures of each class; those that are broken make room for the next ones in the draw."""
    wanted = table.settings.pictures
    chosen: dict[str, list[RowPlace]] = {name: [] for name in ranked}
    left = {name: [table.place(path, row) for _, path, row in reversed(rows)] for name, rows in ranked.items()}
    while True:
        drawn = {
            name: [places.pop() for _ in range(min(wanted - len(chosen[name]), len(places)))]
            for name, places in left.items()
        }
        if not any(drawn.values()):
            break
        checked = _check(table, [place for places in drawn.values() for place in places], keep)
        for name, places in drawn.items():
            chosen[name] += [place for place in places if checked[place.uri] is None]
            for place in places:
                if checked[place.uri] is not None:
                    say(f"{place.uri} is no usable picture ({checked[place.uri]}): another {name!r} was drawn for it.")
    broken = [name for name, places in chosen.items() if not places]
    if broken:
        raise RequestError(f"No picture of {broken[0]!r} in the table {table.uri} can be used: leave that class out.")
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


def _say_what_was_found(
    settings: TableSettings, uri: str, found: Found, chosen: Mapping[str, Sequence[RowPlace]], say: Say
) -> None:
    short = [name for name, places in chosen.items() if len(places) < settings.pictures]
    if short:
        say(f"{uri}: all that there is where that is fewer than {settings.pictures} pictures: {_list(short, found)}.")
    if found.unlabelled:
        say(f"{uri}: {found.unlabelled} pictures have no {settings.by} and were passed over.")
    pictures = sum(map(len, chosen.values()))
    styles = pictures if settings.per == "picture" else len(chosen)
    say(
        f"{uri}: {_number(styles, 'style')} of {_number(pictures, 'picture')} by {settings.by}: "
        f"{_list(list(chosen), found)}."
    )


def _check_classes(settings: TableSettings, uri: str, found: Found, say: Say) -> None:
    """Raise RequestError where a class that is asked for is not among a column's."""
    for column in found.unnamed:
        say(f"{uri}: {column} has numbers without names: none are in the files, nor in {PLACES}.")
    for column, wanted in {settings.by: settings.classes or (), **settings.where}.items():
        for name in wanted:
            _check_known(uri, column, name, found)


def _check_known(uri: str, column: str, name: str, found: Found) -> None:
    labels = sorted(found.labels.get(column, ()))
    if name in labels:
        return
    plain = {_plain(label): label for label in labels}
    near = [plain[one] for one in get_close_matches(_plain(name), plain, SHOWN // 4, 0.6)]
    if near:
        hint = f"did you mean {' or '.join(map(repr, near))}?"
    else:
        more = ", ..." if len(labels) > SHOWN else ""
        hint = f"it has {', '.join(labels[:SHOWN])}{more}." if labels else "it has none at all."
    if column in found.unnamed:
        hint += f" They are numbers without names: put names into {PLACES}."
    raise RequestError(f"The table {uri} has no {column} {name!r}: {hint}")


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-").replace(" ", "-")


def _list(names: Sequence[str], found: Found) -> str:
    shown = ", ".join(f"{name} ({found.counts[name]})" for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
