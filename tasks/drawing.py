"""A job that draws: its bank found or to be made, and its draws as a plan wants them; each wrong one in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.banks.kept import find_bank, keep_manifest, open_bank
from tasks.banks.packed import bank_key, identify
from tasks.banks.sources import BankOrder, BankPart, list_source
from tasks.corpus import open_corpus
from tasks.corpus.labels import check_places
from tasks.corpus.settings import CorpusSettings, LabelSettings
from tasks.draws.choosing import Urn
from tasks.draws.settings import DrawSettings, PlannedDraw
from tasks.expansion import StyleSource
from tasks.images.settings import ImageSettings
from tasks.labelled.wording import Say
from tasks.methods.settings import MethodSettings
from tasks.preflight import prepare_styles
from tasks.records import RequestError
from tasks.storage import Folder
from tasks.styles import PlannedStyle, plan_draw

NOT_MADE = "not made yet"  # the bank of a forecast


@dataclass(frozen=True)
class WantedBank:
    """A bank that a job asks for: pictures to be represented in parts, or styles that are planned one by one.

    `source` is the key of what it is made of, `root` the folder that its pictures are below.
    """

    method: MethodSettings
    source: str
    root: str = ""
    parts: tuple[BankPart, ...] = ()
    styles: tuple[PlannedStyle, ...] = ()

    @property
    def pictures(self) -> int:
        """Number of its styles, if all can be used."""
        return len(self.styles) or sum(part.styles for part in self.parts)

    @property
    def order(self) -> BankOrder:
        """How it is packed."""
        return BankOrder(self.method.name, self.source, tuple(part.name for part in self.parts), self.styles)


def want_bank(
    styles: StyleSource, method: MethodSettings, store: Folder, output: str, say: Say, keep: bool = True
) -> WantedBank:
    """The bank of a job: a folder or Parquet files by their URI, or a list or labelled table of styles.

    With `keep` the store gets the listing, and copies of pictures from labelled tables.
    Raises RequestError where there are none, or they cannot be of one bank.
    """
    method.weight_digests()
    if isinstance(styles, str):
        source = list_source(styles, method, store, keep)
        return WantedBank(method, source.key, source.root, source.parts)
    planned = prepare_styles(styles, method, output, store if keep else None, say)
    for style in planned:
        if style.is_composite:
            raise RequestError(f"Style {style.name!r} has regions, and styles of a bank have none: leave them out.")
        if style.method.name != method.name or style.method.pixel_settings() != method.pixel_settings():
            raise RequestError(
                f"Style {style.name!r} has a method of its own, and a bank has one: set the job's `method`."
            )
    key = bank_key((identify(style.references), style.name, style.representation) for style in planned)
    return WantedBank(method, key, styles=planned)


def check_draw(draw: DrawSettings, corpus: CorpusSettings, images: ImageSettings, method: MethodSettings) -> None:
    """Raise RequestError where a corpus or a method cannot do what a draw asks for."""
    opened = open_corpus(corpus)
    check_places(corpus.labels or LabelSettings(), opened.carried, images)
    if draw.strength is not None and not method.varies_strength:
        raise RequestError(
            f"The method {method.name!r} has one strength for all pairs: leave `strength` out of the draw, and set the "
            "method's own, or name adain."
        )
    split = draw.split
    if split is None:
        return
    if split.column is not None and split.column not in opened.carried.names:
        there = ", ".join(opened.carried.names) or "none"
        raise RequestError(f"The corpus {corpus.uri} has no column {split.column!r} of splits; its columns: {there}.")
    if split.column is None and opened.format in ("parquet", "prompts"):
        raise RequestError(
            f"The corpus {corpus.uri} is {opened.format}: name the `column` of its splits under `split`."
        )


def make_draws(
    draw: DrawSettings,
    wanted: WantedBank,
    key: str,
    seed: int,
    store: Folder,
    output: Folder,
    say: Say = lambda _: None,
) -> tuple[PlannedStyle, ...]:
    """The draws of a bank that is there, which the dataset keeps a manifest of; `say` is told of what is left out.

    Raises RequestError where a part of the bank has fewer styles than each content draws.
    """
    bank = open_bank(store, wanted.method.name, key)
    for part, members in Urn(bank.identities, draw.split, seed).members.items():
        if len(members) < draw.styles:
            where = "The bank" if part is None else f"The part {part!r} of the bank"
            raise RequestError(
                f"{where} has {len(members)} styles, and each content draws {draw.styles}: lower `styles`, or add some."
            )
    if bank.left_out:
        count, (name, reason) = len(bank.left_out), bank.left_out[0]
        say(f"The bank has {len(bank)} styles; {count} pictures are left out, such as {name} ({reason}).")
    keep_manifest(output, key, bank)
    return _plan(draw, wanted, key, len(bank))


def forecast_draws(draw: DrawSettings, wanted: WantedBank, store: Folder) -> tuple[PlannedStyle, ...]:
    """The draws as they would be planned; of a bank that is not made yet, nothing is known but its size."""
    key = find_bank(store, wanted.method.name, wanted.source)
    return _plan(draw, wanted, key or NOT_MADE, wanted.pictures)


def _plan(draw: DrawSettings, wanted: WantedBank, key: str, styles: int) -> tuple[PlannedStyle, ...]:
    numbers: Sequence[int] = range(draw.styles)
    return tuple(
        plan_draw(
            draw.name,
            wanted.method,
            PlannedDraw(
                bank=key, styles=styles, number=n, source=wanted.root, strength=draw.strength, split=draw.split
            ),
        )
        for n in numbers
    )
