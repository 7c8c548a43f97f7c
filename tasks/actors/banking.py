"""Banks made by actors: each part represented once, then all parts packed into one object."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch

from tasks.actors.memory import make_in_halves
from tasks.actors.representing import STYLE_BYTES
from tasks.banks.kept import bank_name, read_parts, source_name
from tasks.banks.names import name_style, place_picture
from tasks.banks.packed import check_size, identify, join, table_key, write_table
from tasks.banks.sources import BankOrder, BankPart
from tasks.banks.tensors import BankRow, make_table
from tasks.corpus import open_corpus
from tasks.corpus.base import Entry
from tasks.images.decoding import decode
from tasks.images.fitting import Pixels
from tasks.images.padding import to_tensor
from tasks.methods.base import Method, Reference, Style
from tasks.records import ImageError, RequestError
from tasks.storage import Folder
from tasks.store import RepresentationStore
from tasks.styles import PlannedReference, PlannedStyle, freeze_style

# S3 takes 5 GB in one part, and only one part keeps the create-only promise.
MOST_BYTES = 4 * 10**9
LICENCES = ("license", "licence", "rights", "copyright")
AT_ONCE, DECODED = 64, 8

Decoded = tuple[Entry, Pixels | ImageError]


def represent_part(store: Folder, method: Method, part: BankPart, threads: int) -> int:
    """Represent the pictures of a part and publish them as one object; gives how many were computed here.

    A picture that cannot be decoded is a row with the reason. Raises what `represent` raises.
    """
    if store.exists(part.name):
        return 0
    corpus = open_corpus(part.corpus)
    column = getattr(corpus, "image", None) if part.corpus.image else None
    rows: list[BankRow] = []
    with ThreadPoolExecutor(threads) as pool:
        entries = (entry for piece in part.pieces for entry in corpus.read(piece))
        for batch in _batches(pool, entries):
            rows += _represent(method, part, batch, column)
    if len(rows) != part.styles:
        raise RuntimeError(f"{part.name} has {len(rows)} rows for {part.styles} pictures.")
    store.publish(part.name, write_table(make_table(rows)))
    return sum(row.reason is None for row in rows)


def _batches(pool: ThreadPoolExecutor, entries: Iterator[Entry]) -> Iterator[list[Decoded]]:
    """Decoded pictures, as many together as `STYLE_BYTES` hold."""
    batch: list[Decoded] = []
    held = 0
    for few in iter(lambda: list(islice(entries, DECODED)), []):
        for entry, outcome in zip(few, pool.map(_decode, few), strict=True):
            batch.append((entry, outcome))
            held += 0 if isinstance(outcome, ImageError) else 4 * outcome.nbytes
            if held > STYLE_BYTES or len(batch) == AT_ONCE:
                yield batch
                batch, held = [], 0
    if batch:
        yield batch


def _decode(entry: Entry) -> Pixels | ImageError:
    try:
        if entry.error is not None or entry.data is None:
            raise entry.error or ImageError("missing", "the picture is missing")
        return decode(entry.data)
    except ImageError as error:
        return error


def _represent(method: Method, part: BankPart, batch: Sequence[Decoded], column: str | None) -> Iterator[BankRow]:
    """A row for each picture of a batch."""
    good = [(entry, pixels) for entry, pixels in batch if not isinstance(pixels, ImageError)]
    styles = [_style(entry, pixels) for entry, pixels in good]
    made = make_in_halves(method.represent, styles)
    for (entry, _), representation in zip(good, made, strict=True):
        references = (_reference(entry, column),)
        planned = freeze_style(name_style(entry.content_id), references, part.method, part.weights)
        yield BankRow(
            identity=identify(references),
            name=planned.name,
            references=references,
            representation=planned.representation,
            licence=_licence(entry),
            tensors=dict(representation.tensors),
        )
    for entry, outcome in batch:
        if isinstance(outcome, ImageError):
            yield BankRow("", name_style(entry.content_id), reason=str(outcome))


def _style(entry: Entry, pixels_HWC: Pixels) -> Style:
    return Style(name_style(entry.content_id), (Reference(image_CHW=to_tensor([pixels_HWC])[0]),))


def _reference(entry: Entry, column: str | None) -> PlannedReference:
    sha256 = hashlib.sha256(entry.data or b"").hexdigest()
    return PlannedReference(image=place_picture(entry.content_id, column), sha256=sha256)


def _licence(entry: Entry) -> str | None:
    found = next((entry.columns[name] for name in LICENCES if entry.columns.get(name) is not None), None)
    return None if found is None else str(found)[:200]


def pack(store: RepresentationStore, order: BankOrder) -> str:
    """Put a bank together, create-only, and say which source it was made of; gives its key.

    Raises RequestError where no picture can be used, or the bank is too large.
    """
    folder = store.folder
    tables = read_parts(folder, order.parts) if order.parts else [make_table(_rows(store, order.styles))]
    table, left_out = join(tables)
    del tables
    if not table.num_rows:
        first = f", such as {left_out[0][0]} ({left_out[0][1]})" if left_out else ""
        raise RequestError(f"No picture of the bank can be used{first}: name others.")
    check_size(table, MOST_BYTES)
    key = table_key(table)
    folder.publish(bank_name(order.method, key), write_table(table.drop_columns(["reason"])))
    found = {"bank": key, "styles": table.num_rows, "left_out": len(left_out)}
    folder.publish(source_name(order.method, order.source), json.dumps(found).encode(), create=False)
    return key


def _rows(store: RepresentationStore, styles: Sequence[PlannedStyle]) -> list[BankRow]:
    """Rows of styles that were represented like any others."""
    return [
        BankRow(
            identity=identify(style.references),
            name=style.name,
            references=style.references,
            representation=style.representation,
            texts=style.texts_digest,
            tensors={n: torch.clone(t) for n, t in store.get(style.method.name, style.representation).tensors.items()},
        )
        for style in styles
    ]
