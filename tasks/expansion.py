"""The styles of a job, one by one: named, each picture of a folder, or each class of a labelled table."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from contextlib import suppress

from tasks.corpus import open_corpus
from tasks.corpus.settings import CorpusSettings
from tasks.labelled.choice import Say, choose
from tasks.labelled.place import RowPlace, settle_places
from tasks.labelled.rows import ROWS
from tasks.labelled.settings import TableSettings, fill
from tasks.records import RequestError
from tasks.storage import Folder, open_filesystem, storage_errors
from tasks.styles import MAX_NAME, ReferenceSettings, StyleSettings

StyleSource = str | TableSettings | Sequence[StyleSettings | TableSettings]


def expand_styles(styles: StyleSource, say: Say = lambda _: None, keep: Folder | None = None) -> list[StyleSettings]:
    """The styles of a job. Raises RequestError where there are none, or two have one name.

    Rows of tables are read and decoded here, and named with their file's version. `say` gets a sentence for whatever
    a table was found to hold, or to lack; copies of its pictures are put into `keep`.
    """
    if isinstance(styles, str):
        return _from_folder(styles)
    given = [styles] if isinstance(styles, TableSettings) else _read_rows(styles, keep)
    found = [
        style for one in given for style in (_from_table(one, say, keep) if isinstance(one, TableSettings) else [one])
    ]
    names = [style.name for style in found]
    if len(set(names)) < len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise RequestError(f"Two styles are named {doubled!r}: rename one, by `name` where a table gives it.")
    return found


def has_table(styles: StyleSource) -> bool:
    """Whether any of the styles come from a labelled table."""
    given = [styles] if isinstance(styles, str | TableSettings) else styles
    return any(isinstance(one, TableSettings) for one in given)


def _from_folder(uri: str) -> list[StyleSettings]:
    """Of a folder, each picture is a style named by its file without the suffix."""
    try:
        pieces = open_corpus(CorpusSettings(uri=uri, format="folder")).pieces({})
    except RequestError as error:
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


def _read_rows(
    styles: Sequence[StyleSettings | TableSettings], keep: Folder | None
) -> list[StyleSettings | TableSettings]:
    """The same, where styles name rows of tables with their file's version; each row group is read once for all."""
    references = [reference for style in styles if isinstance(style, StyleSettings) for reference in style.references]
    pictures = [picture for reference in references for picture in (reference.image, reference.mask)]
    places = settle_places(picture for picture in pictures if isinstance(picture, str))
    # What cannot be read is told by whoever plans its style, with the style's name.
    with suppress(*(error for place in places.values() for error in storage_errors(open_filesystem(place.file)[0]))):
        ROWS.check(list(places.values()), keep)

    def settle(uri: str) -> str:
        return places[uri].uri if uri in places else uri

    return [style.resolve_paths(settle) if isinstance(style, StyleSettings) else style for style in styles]


def _from_table(settings: TableSettings, say: Say, keep: Folder | None) -> list[StyleSettings]:
    """Each class of a table as a style, or each picture of it."""
    styles = []
    for label, places in choose(settings, say, keep).items():
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
    table = settings.table.rstrip("/")
    file = posixpath.basename(table) if places[0].file == table else places[0].file.removeprefix(f"{table}/")
    name = fill(settings.name_template, {"class": label, "file": posixpath.splitext(file)[0], "row": places[0].row})
    if len(name) > MAX_NAME:
        raise RequestError(f"The style {name[:60]!r}... has a name of more than {MAX_NAME} letters: set `name`.")
    return StyleSettings(name=name, references=tuple(references), method=settings.method)
