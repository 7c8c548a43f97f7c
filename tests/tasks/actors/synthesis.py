"""Datasets of drawn styles made in this process: what the flow and its actors do, without Prefect and Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.actors.banking import pack, represent_part
from tasks.actors.loaded import Loaded
from tasks.actors.orders import ActorSettings, make_order
from tasks.actors.shard import stylize_shard
from tasks.banks.kept import find_bank
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.chain import plan_wanted
from tasks.dataset.footer import KEY
from tasks.dataset.ledger import Ledger
from tasks.drawing import WantedBank, check_draw, forecast_draws, make_draws, want_bank
from tasks.draws.settings import DrawSettings
from tasks.images.settings import ImageSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.plan import Plan, Wanted
from tasks.preflight import settle_format
from tasks.shards import ShardSize, by_shard
from tasks.storage import Folder
from tests.tasks.actors.making import IMAGES, photograph

METHOD = AdainSettings()
Row = dict[str, Any]


SPLIT = {"parts": {"train": 3, "test": 2}}


def write_art(folder: Path, count: int = 12) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        photograph(40 + number, 48, 500 + number).save(folder / f"a{number:02d}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "twin.png").write_bytes((folder / "a03.png").read_bytes())
    return folder


def make_bank(loaded: Loaded, wanted: WantedBank) -> str:
    """What actors do."""
    for style in wanted.styles:
        loaded.represent([style])
    for part in wanted.parts:
        represent_part(loaded.store.folder, loaded.open(part.method), part, 2)
    return pack(loaded.store, wanted.order)


class Synthesis:
    """A dataset of drawn styles, made in this process."""

    def __init__(self, output: Path | str, corpus: CorpusSettings, images: ImageSettings = IMAGES) -> None:
        self.output, self.images = Folder(str(output)), images
        self.loaded = Loaded(ActorSettings(str(output), f"{output}/representations", "none"))
        self.corpus = settle_format(corpus)

    def plan(self, bank: Any, **draw: Any) -> Plan | None:
        settings, store = DrawSettings.model_validate(draw), self.loaded.store.folder
        check_draw(settings, self.corpus, self.images, METHOD)
        wanted = want_bank(bank, METHOD, store, self.output.uri, lambda _: None)
        assert wanted == want_bank(bank, METHOD, store, self.output.uri, lambda _: None, keep=False)
        key = find_bank(store, METHOD.name, wanted.source) or make_bank(self.loaded, wanted)
        draws = make_draws(settings, wanted, key, 0, store, self.output)
        assert [one.digest for one in draws] == [one.digest for one in forecast_draws(settings, wanted, store)]
        what = Wanted(self.corpus, self.images, 0, draws, store.uri, "none")
        return plan_wanted(self.output, what, lambda: ShardSize(images=5))

    def finish(self, excluded: Mapping[str, str] = MappingProxyType({})) -> None:
        ledger = Ledger(self.output)
        for plan in ledger.open_plans():
            for planned in by_shard(ledger.pieces(plan)).values():
                order = replace(make_order(plan, planned, plan.corpus), excluded=excluded)
                stylize_shard(self.loaded, order, lambda *_: None)

    def make(self, bank: Any, **draw: Any) -> list[Row]:
        self.plan(bank, **draw)
        self.finish()
        return self.rows()

    def rows(self, place: str = "data") -> list[Row]:
        names = sorted(self.output.list(place))
        return [row for name in names for row in pq.read_table(BytesIO(self.output.read(name))).to_pylist()]


def rewrite(folder: Folder, change: dict[str, Any]) -> None:
    """Change the first row of the first shard, whose footer and counts stay as they are."""
    name = min(folder.list("data"))
    table = pq.read_table(BytesIO(folder.read(name)))
    rows = table.to_pylist()
    rows[0] |= change
    changed = pa.Table.from_pylist(rows, table.schema)
    sink = BytesIO()
    metadata = pq.read_metadata(BytesIO(folder.read(name))).metadata
    with pq.ParquetWriter(sink, changed.schema) as writer:
        writer.write_table(changed)
        writer.add_key_value_metadata({KEY.decode(): metadata[KEY].decode()})
    folder.publish(name, sink.getvalue(), create=False)
