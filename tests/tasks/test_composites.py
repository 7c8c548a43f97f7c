"""Composite styles from their plan to the report: what failed for want of a mask is made by a retry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.actors.orders import make_order
from tasks.actors.shard import stylize_shard
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.chain import draft_wanted, plan_retry, plan_wanted
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import Verification, check
from tasks.methods.adain.settings import AdainSettings
from tasks.plan import Plan, Wanted
from tasks.preflight import prepare_styles, settle_format
from tasks.report.page import render_report
from tasks.shards import ShardSize, by_shard
from tasks.storage import Folder
from tasks.style_settings import StyleSettings
from tasks.summary import report_data
from tests.tasks.actors.making import IMAGES, load, write_photographs, write_style_pictures


def write_mask(path: Path, white: float) -> None:
    """Of a photograph's size; the upper part white."""
    width, height = Image.open(path.with_name(path.name.replace(".mask.png", ".jpg"))).size
    levels = np.zeros((height, width), np.uint8)
    levels[: round(height * white)] = 255
    Image.fromarray(levels).save(path)


SHARES = {"p00.jpg": 0.5, "p01.jpg": 0.25, "p02.jpg": 0.75}  # of the first reference, by each content's mask
CLIP = "embedded:clip-small"


def want(folder: Path) -> Wanted:
    """Three photographs, of which two have masks, in two layouts of the same references."""
    photos, art = write_photographs(folder / "photos", 3), write_style_pictures(folder / "art")
    for name in ("p00", "p01"):
        write_mask(photos / f"{name}.mask.png", SHARES[f"{name}.jpg"])
    references = [{"image": str(art / f"{name}.png")} for name in ("bars", "blots")]
    layouts = {"by-mask": {"masks": "beside"}, "rings": {"rings": 2}}
    settings = [
        StyleSettings.model_validate({"name": name, "references": references, "regions": layout})
        for name, layout in layouts.items()
    ]
    styles = prepare_styles(settings, AdainSettings())
    corpus = settle_format(CorpusSettings(uri=str(photos)), styles)
    return Wanted(corpus, IMAGES, 0, styles, f"{folder}/out/representations", CLIP)


def carry_out(folder: Path, plan: Plan | None) -> Verification:
    assert plan is not None
    loaded, output = load(folder / "out", clip=CLIP), Folder(str(folder / "out"))
    for planned in by_shard(Ledger(output).pieces(plan)).values():
        stylize_shard(loaded, make_order(plan, planned, plan.corpus), lambda *_: None)
    return check(Ledger(output))


def test_a_composite_style_from_its_plan_to_its_retry(tmp_path: Path) -> None:
    wanted, output = want(tmp_path), Folder(str(tmp_path / "out"))
    found = carry_out(tmp_path, plan_wanted(output, wanted, ShardSize))
    assert (found.is_whole, found.records, found.failed) == (True, 5, 1)
    assert len(list((tmp_path / "out/representations").rglob("*.safetensors"))) == 1

    write_mask(tmp_path / "photos/p02.mask.png", SHARES["p02.jpg"])
    found = carry_out(tmp_path, plan_retry(output, lambda _: ShardSize()))
    assert (found.is_whole, found.records, found.failed) == (True, 6, 0)
    assert plan_wanted(output, wanted, ShardSize) is None

    rows = [row for path in (tmp_path / "out/data").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    masked = {row["content_id"]: row["regions"][0] for row in rows if row["style"] == "by-mask"}
    assert {name: part["share"] for name, part in masked.items()} == pytest.approx(SHARES, abs=0.03)
    data = report_data(Ledger(output), found)
    first, second = next(style for style in data.styles if style.name == "by-mask").references
    assert (first.share, second.share) == (pytest.approx(0.5, abs=0.03), pytest.approx(0.5, abs=0.03))
    assert first.direction == pytest.approx(np.mean([part["clip_direction"] for part in masked.values()]), abs=1e-5)
    page = render_report(data)
    assert page.count("of the picture") == 4
    assert all(layout in page for layout in ("masks: beside, feather: 0.01", "rings: 2, feather: 0.05"))


@pytest.mark.parametrize(("masks", "missing"), [("beside", "p00.mask.png"), ("folder", "p00.png")])
def test_masks_that_seem_to_lie_elsewhere_are_told_while_planning(tmp_path: Path, masks: str, missing: str) -> None:
    photos, art = write_photographs(tmp_path / "photos", 20), write_style_pictures(tmp_path / "art")
    (tmp_path / "folder").mkdir()
    references = [{"image": str(art / f"{name}.png")} for name in ("bars", "blots")]
    place = masks if masks == "beside" else str(tmp_path / masks)
    style = {"name": "by-mask", "references": references, "regions": {"masks": place}}
    styles = prepare_styles([StyleSettings.model_validate(style)], AdainSettings(), corpus=str(photos))
    wanted = Wanted(settle_format(CorpusSettings(uri=str(photos)), styles), IMAGES, 0, styles, "store", "none")
    said: list[str] = []
    ledger = Ledger(Folder(str(tmp_path / "out")))
    assert draft_wanted(ledger, wanted, ShardSize, said.append) is not None
    assert len(said) == 1
    assert f"'by-mask', masks: {place}: of 7 contents that were looked at none has one" in said[0]
    assert missing in said[0]
    where = photos / "p09.mask.png" if masks == "beside" else tmp_path / "folder/p09.png"
    Image.new("L", (96, 64)).save(where)
    draft_wanted(ledger, wanted, ShardSize, said.append)
    assert len(said) == 1
