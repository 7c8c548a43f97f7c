"""The styles of a job, one by one: named, each picture of a folder, or each class of a labelled table."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice

from tasks.corpus import open_corpus
from tasks.corpus.settings import CorpusSettings
from tasks.labelled.draw import draw
from tasks.labelled.place import RowPlace, settle_places
from tasks.labelled.rows import ROWS
from tasks.labelled.selection import Selected, select
from tasks.labelled.settings import TableSettings, fill
from tasks.labelled.wording import Say, quote
from tasks.paths import PathSettings
from tasks.records import RequestError
from tasks.storage import Folder, open_filesystem, storage_errors
from tasks.style_settings import MAX_NAME, ReferenceSettings, StyleSettings

StyleSource = str | TableSettings | Sequence[StyleSettings | TableSettings | PathSettings]


def expand_styles(styles: StyleSource, say: Say = lambda _: None, keep: Folder | None = None) -> list[StyleSettings]:
    """The styles of a job. Raises RequestError where there are none, or two have one name.

    Rows of tables are read and decoded here, and named with their file's version. `say` gets a sentence for whatever
    a table was found to hold, or to lack; copies of its pictures are put into `keep`.
    """
    if isinstance(styles, str):
        return _from_folder(styles)
    parts = [select(one, say) if isinstance(one, TableSettings) else one for one in list_styles(styles)]
    # Before a picture is read.
    _check_names([name for part in parts for name in _expected_names(part)])
    versions = _read_rows([part for part in parts if isinstance(part, StyleSettings)], keep)
    found: list[list[StyleSettings]] = []
    for part in parts:
        if isinstance(part, StyleSettings):
            found.append([part.resolve_paths(lambda path: versions.get(path, path))])
        else:
            found.append(_from_table(part, draw(part, say, keep)) if isinstance(part, Selected) else [])
    named = {style.name: style for some in found for style in some}
    for place, part in enumerate(parts):
        if isinstance(part, PathSettings):
            found[place] = list(part.expand(named))
    expanded = [style for some in found for style in some]
    _check_names([style.name for style in expanded])
    return expanded


def list_styles(styles: StyleSource) -> Sequence[StyleSettings | TableSettings | PathSettings]:
    """What a job lists: styles, tables of them, and paths between them; nothing where it names a folder."""
    if isinstance(styles, str):
        return ()
    return [styles] if isinstance(styles, TableSettings) else styles


def has_table(styles: StyleSource) -> bool:
    """Whether any of the styles come from a labelled table."""
    return any(isinstance(one, TableSettings) for one in list_styles(styles))


def _from_folder(uri: str) -> list[StyleSettings]:
    """Of a folder, each picture is a style named by its file without the suffix."""
    try:
        pieces = open_corpus(CorpusSettings(uri=uri, format="folder")).pieces({})
    except RequestError as error:
        if error.__cause__ is not None:  # the store's own: it says more
            raise
        raise RequestError(f"The folder of styles {uri} has no pictures: name one that has.") from error
    found = [
        StyleSettings(
            name=posixpath.splitext(piece.path)[0],
            references=(ReferenceSettings(image=posixpath.join(uri, piece.path)),),
        )
        for piece in pieces
    ]
    names = [style.name for style in found]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise RequestError(f"Two pictures in {uri} are named {doubled[0]!r}: rename one.")
    return found


def _read_rows(styles: Sequence[StyleSettings], keep: Folder | None) -> dict[str, str]:
    """By the URI of each row that styles name, the one with its file's version; each row group is read once for all."""
    references = [reference for style in styles for reference in style.references]
    pictures = [picture for reference in references for picture in (reference.image, reference.mask)]
    places = settle_places(picture for picture in pictures if isinstance(picture, str))
    # What cannot be read is told by whoever plans its style, with the style's name.
    with suppress(*(error for place in places.values() for error in storage_errors(open_filesystem(place.file)[0]))):
        ROWS.check(list(places.values()), keep)
    return {uri: place.uri for uri, place in places.items()}


def _check_names(names: Sequence[str]) -> None:
    doubled = next((name for name, count in Counter(names).items() if count > 1), None)
    if doubled is not None:
        raise RequestError(f"Two styles are named {quote(doubled)}: rename one, by `name` where a table gives it.")
    long = next((name for name in names if len(name) > MAX_NAME), None)
    if long is not None:
        raise RequestError(f"The style {quote(long[:60])}... has a name of more than {MAX_NAME} letters: set `name`.")


def _expected_names(part: StyleSettings | Selected | PathSettings) -> list[str]:
    """Names of styles; those of single pictures where none is broken."""
    if isinstance(part, StyleSettings):
        return [part.name]
    if isinstance(part, PathSettings):
        return part.names()
    settings = part.table.settings
    most = settings.pictures if settings.per == "picture" else 1
    return [_name(settings, label, place) for label in part.names for place in islice(part.places(label), most)]


def _from_table(selected: Selected, drawn: Mapping[str, Sequence[RowPlace]]) -> list[StyleSettings]:
    """Each class of a table as a style, or each picture of it."""
    settings = selected.table.settings
    styles = []
    for label, places in drawn.items():
        if settings.per == "picture":
            styles += [_make_style(settings, label, [place]) for place in places]
        else:
            styles.append(_make_style(settings, label, places))
    return styles


def _make_style(settings: TableSettings, label: str, places: Sequence[RowPlace]) -> StyleSettings:
    share = (1 - settings.text_weight if settings.text else 1) / len(places)
    references = [ReferenceSettings(image=place.uri, weight=share) for place in places]
    if settings.text:
        # ClassLabels are written `claude-monet` and `Ukiyo_e`; a CLIP reads words.
        words = fill(settings.text, {"class": label.replace("_", " ").replace("-", " ")})
        references.append(ReferenceSettings(text=words, weight=settings.text_weight))
    name = _name(settings, label, places[0])
    return StyleSettings(name=name, references=tuple(references), method=settings.method)


def _name(settings: TableSettings, label: str, place: RowPlace) -> str:
    table = settings.table.rstrip("/")
    file = posixpath.basename(table) if place.file == table else place.file.removeprefix(f"{table}/")
    return fill(settings.name_template, {"class": label, "file": posixpath.splitext(file)[0], "row": place.row})
