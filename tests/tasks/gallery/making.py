"""Small datasets made in this process by the pipeline's own parts: photographs of noise in styles of noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tasks.actors.loaded import Loaded
from tasks.actors.orders import ActorSettings, make_order
from tasks.actors.shard import stylize_shard
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.chain import plan_wanted
from tasks.dataset.ledger import Ledger
from tasks.expansion import StyleSource
from tasks.images.settings import ImageSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.plan import Plan, Wanted
from tasks.preflight import prepare_styles
from tasks.shards import ShardSize, by_shard
from tasks.storage import Folder


def draw(path: Path, seed: int, size: tuple[int, int] = (40, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def make(
    folder: Path,
    *,
    finish: bool = True,
    clip: str = "none",
    judge: str = "none",
    styles: StyleSource | None = None,
    corpus: CorpusSettings | None = None,
) -> Plan | None:
    """Plan what the folder's photographs (or a corpus) and art (or some styles) still want, and make it here."""
    wanted = Wanted(
        corpus or CorpusSettings(uri=str(folder / "photos")),
        ImageSettings(size=64, codec="png"),
        0,
        prepare_styles(styles or str(folder / "art"), AdainSettings()),
        str(folder / "store"),
        clip,
        judge,
    )
    output = Folder(str(folder / "out"))
    plan = plan_wanted(output, wanted, lambda: ShardSize(images=3))
    if plan is None:
        return None
    loaded = Loaded(ActorSettings(output.uri, wanted.store, clip, "cpu", 1, 2**16))
    shards = by_shard(Ledger(output).pieces(plan))
    for shard in range(plan.shards if finish else 1):
        stylize_shard(loaded, make_order(plan, shards[shard], wanted.corpus), lambda *_: None)
    return plan
