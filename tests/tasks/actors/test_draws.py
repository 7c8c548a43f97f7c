"""Draws through bank, plan, actor and verification, without Ray: who gets which style, and the proof of it."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tasks.actors.banking import represent_part
from tasks.banks.kept import find_bank, manifest_name, open_bank
from tasks.banks.tensors import BankTensors
from tasks.corpus.settings import CorpusSettings
from tasks.datacard import write_card
from tasks.dataset.chain import plan_retry
from tasks.dataset.drawn_styles import open_manifest
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import verify
from tasks.drawing import WantedBank, check_draw, want_bank
from tasks.draws.choosing import Urn
from tasks.draws.settings import DrawSettings
from tasks.methods.clipstyler.settings import FastSettings
from tasks.records import RequestError
from tasks.shards import ShardSize
from tasks.style_settings import ReferenceSettings, StyleSettings
from tasks.styles import PlannedStyle, plan_style
from tests.tasks.actors.making import IMAGES, load, photograph, stylize, write_photographs
from tests.tasks.actors.making import make_order as make_plain_order
from tests.tasks.actors.synthesis import METHOD, SPLIT, Synthesis, make_bank, rewrite, write_art


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two splits of two classes of three photographs, one of them damaged."""
    root = tmp_path_factory.mktemp("draws") / "photos"
    for number, folder in enumerate(["train/cat", "train/dog", "test/cat", "test/dog"]):
        write_photographs(root / folder, 3, first=3 * number)
    (root / "test/dog/empty.jpg").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def art(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_art(tmp_path_factory.mktemp("bank") / "art")


@pytest.fixture
def synthesis(tmp_path: Path, photos: Path) -> Synthesis:
    return Synthesis(tmp_path / "out", CorpusSettings(uri=str(photos), labels="folder"))  # type: ignore[arg-type]


def test_a_style_of_a_bank_is_what_it_would_be_alone(tmp_path: Path, art: Path) -> None:
    loaded = load(tmp_path / "out")
    wanted = want_bank(str(art), METHOD, loaded.store.folder, str(tmp_path / "out"), lambda _: None)
    bank = open_bank(loaded.store.folder, "adain", make_bank(loaded, wanted))
    assert len(bank) == 12
    assert [name for name, _ in bank.left_out] == ["broken", "twin"]
    assert bank.left_out[1][1] == "the same picture as a03"
    by_name, tensors = {}, BankTensors(bank.table)
    for row in range(len(bank)):
        style = bank.style(row, METHOD, wanted.parts[0].weights, wanted.root)
        by_name[style.name] = style, tensors.representation(row)
    for name, (style, representation) in by_name.items():
        alone = plan_style(
            StyleSettings(name=name, references=(ReferenceSettings(image=str(art / f"{name}.png")),)), METHOD
        )
        assert style == alone
        loaded.represent([alone])
        stored = loaded.store.get("adain", alone.representation)
        assert stored.tensors.keys() == representation.tensors.keys()
        assert all(torch.equal(stored.tensors[k], representation.tensors[k]) for k in stored.tensors)


def test_a_bank_is_made_once_and_known_by_what_is_in_it(tmp_path: Path, art: Path) -> None:
    loaded = load(tmp_path / "out")
    store = loaded.store.folder

    def want(folder: Path) -> WantedBank:
        return want_bank(str(folder), METHOD, store, str(tmp_path / "out"), lambda _: None)

    first = want(art)
    assert find_bank(store, "adain", first.source) is None
    key = make_bank(loaded, first)
    assert find_bank(store, "adain", want(art).source) == key
    assert [represent_part(store, loaded.open(METHOD), part, 1) for part in first.parts] == [0]
    moved = write_art(tmp_path / "moved")
    assert want(moved).source == first.source, "the same pictures elsewhere are the same bank"
    photograph(30, 30, 9).save(moved / "new.png")
    assert want(moved).source != first.source
    assert make_bank(loaded, want(moved)) != key


def test_each_content_draws_different_styles_of_its_own_part_and_keeps_its_labels(
    synthesis: Synthesis, art: Path
) -> None:
    rows = synthesis.make(str(art), styles=2, strength=[0.5, 1.0], split=SPLIT)
    assert len(rows) == 24
    assert {row["content_id"].split("/")[1] == row["label"] for row in rows} == {True}
    assert {row["bank_part"] == row["content_id"].split("/")[0] for row in rows} == {True}
    pairs = {(row["content_id"], row["style"]) for row in rows}
    assert len(pairs) == 24
    parts = {part: {row["style"] for row in rows if row["bank_part"] == part} for part in ("train", "test")}
    assert all(parts.values())
    assert not parts["train"] & parts["test"]
    assert len({row["strength"] for row in rows}) == 24
    assert all(0.5 <= row["strength"] <= 1 for row in rows)
    failed = synthesis.rows("failures")
    assert [(row["error_class"], row["label"], row["bank_part"]) for row in failed] == [
        ("empty_file", "dog", "test")
    ] * 2
    assert len({row["style"] for row in failed} & parts["train"]) == 0
    found = verify(synthesis.output)
    assert found.is_whole, found.problems
    assert (found.records, found.failed) == (24, 2)


def test_a_drawn_picture_is_what_the_style_alone_would_have_given(
    synthesis: Synthesis, art: Path, tmp_path: Path
) -> None:
    rows = synthesis.make(str(art), styles=1)
    chosen = rows[0], rows[5]
    for number, row in enumerate(chosen):
        method = METHOD
        style = plan_style(
            StyleSettings(name=row["style"], references=(ReferenceSettings(image=str(art / f"{row['style']}.png")),)),
            method,
        )
        assert style.digest == row["style_digest"]
        plain = make_plain_order(Path(synthesis.corpus.uri), (style,))
        output = tmp_path / f"plain{number}"
        stylize(load(output), plain)
        alone = next(r for r in Synthesis(output, synthesis.corpus).rows() if r["content_id"] == row["content_id"])
        assert alone["seed"] == row["seed"]
        ours, theirs = (np.asarray(Image.open(BytesIO(r["image"]["bytes"]))).astype(int) for r in (row, alone))
        assert np.abs(ours - theirs).max() <= 1


def test_more_styles_and_more_contents_make_only_what_is_new(synthesis: Synthesis, art: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "few"
    write_photographs(corpus, 4)
    synthesis = Synthesis(tmp_path / "grown", CorpusSettings(uri=str(corpus)))
    first = {(row["content_id"], row["style"]) for row in synthesis.make(str(art), styles=1)}
    assert synthesis.plan(str(art), styles=1) is None
    more = synthesis.plan(str(art), styles=3)
    assert more is not None
    assert more.pairs == 8
    synthesis.finish()
    write_photographs(corpus, 6)
    grown = synthesis.plan(str(art), styles=3)
    assert grown is not None
    assert grown.pairs == 6
    synthesis.finish()
    rows = synthesis.rows()
    assert first <= {(row["content_id"], row["style"]) for row in rows}
    assert len({(row["content_id"], row["style"]) for row in rows}) == len(rows) == 18
    assert verify(synthesis.output).is_whole


def test_another_bank_is_another_draw_and_needs_another_name(synthesis: Synthesis, tmp_path: Path) -> None:
    art = write_art(tmp_path / "art")
    synthesis.make(str(art), styles=1)
    photograph(30, 30, 9).save(art / "new.png")
    with pytest.raises(RequestError, match="The draw 'draw-1' is in the dataset with another bank"):
        synthesis.plan(str(art), styles=1)
    again = synthesis.plan(str(art), styles=1, name="second")
    assert again is not None
    assert again.pairs == 13


def test_only_the_pairs_that_failed_are_tried_again(synthesis: Synthesis, art: Path) -> None:
    synthesis.plan(str(art), styles=2, split=SPLIT)
    synthesis.finish(excluded={"train/cat/p00.jpg": "process_died"})
    before = verify(synthesis.output)
    assert (before.records, before.failed) == (22, 4)
    retried = plan_retry(synthesis.output, lambda _: ShardSize())
    assert retried is not None
    assert retried.pairs == 4
    synthesis.finish()
    after = verify(synthesis.output)
    assert after.is_whole, after.problems
    assert (after.records, after.failed) == (24, 2)
    rows = [(row["content_id"], row["style"]) for row in synthesis.rows()]
    assert len(set(rows)) == len(rows) == 24


@pytest.mark.parametrize(
    "change", [{"style_digest": "another"}, {"bank_part": "train"}, {"seed": 7}, {"strength": 0.123}, {"style": "a00?"}]
)
def test_a_record_that_is_not_what_its_content_draws_is_found(
    synthesis: Synthesis, art: Path, change: dict[str, Any]
) -> None:
    rows = synthesis.make(str(art), styles=1, strength=[0.5, 1], split=SPLIT)
    assert rows[0]["bank_part"] == "test"
    rewrite(synthesis.output, change)
    assert [p for p in verify(synthesis.output).problems if "1 pairs are not what their contents draw" in p]


def test_without_the_banks_manifest_nothing_is_proven(synthesis: Synthesis, art: Path) -> None:
    synthesis.make(str(art), styles=1)
    plan = Ledger(synthesis.output).chain[0]
    assert plan.styles[0].draw is not None
    synthesis.output.delete(manifest_name(plan.styles[0].draw.bank))
    open_manifest.cache_clear()  # read once in a process
    assert any("is missing or damaged" in problem for problem in verify(synthesis.output).problems)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        ({"styles": 13}, "The bank has 12 styles, and each content draws 13"),
        ({"styles": 8, "split": SPLIT}, "of the bank has . styles, and each content draws 8"),
        ({"split": SPLIT | {"column": "fold"}}, "has no column 'fold' of splits; its columns: label"),
    ],
)
def test_a_draw_that_cannot_be_is_told(synthesis: Synthesis, art: Path, draw: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        synthesis.plan(str(art), **draw)


def test_a_method_of_one_strength_is_told(synthesis: Synthesis) -> None:
    with pytest.raises(RequestError, match="'clipstyler' has one strength for all pairs"):
        check_draw(DrawSettings(strength=(0.5, 1)), synthesis.corpus, IMAGES, FastSettings(mode="fast"))


def test_a_bank_of_listed_styles_and_of_table_rows(tmp_path: Path, photos: Path, art: Path) -> None:
    listed = [
        StyleSettings(
            name=f"mix{n}", references=tuple(ReferenceSettings(image=str(art / f"a{n + k:02d}.png")) for k in (0, 1))
        )
        for n in range(4)
    ]
    synthesis = Synthesis(tmp_path / "listed", CorpusSettings(uri=str(photos)))
    rows = synthesis.make(listed, styles=1)
    assert {row["style"] for row in rows} <= {"mix0", "mix1", "mix2", "mix3"}
    planned = {style.name: plan_style(style, METHOD) for style in listed}
    assert all(row["style_digest"] == planned[row["style"]].digest for row in rows)
    assert verify(synthesis.output).is_whole

    pictures = [{"image": (art / f"a{n:02d}.png").read_bytes(), "license": "CC0" if n else None} for n in range(5)]
    (tmp_path / "table").mkdir()
    pq.write_table(pa.Table.from_pylist(pictures), tmp_path / "table/art.parquet")
    synthesis = Synthesis(tmp_path / "table-out", CorpusSettings(uri=str(photos)))
    assert {row["style"] for row in synthesis.make(str(tmp_path / "table"), styles=1)} <= {
        f"art.parquet#{n}" for n in range(5)
    }
    write_card(Ledger(synthesis.output))
    card = json.loads(synthesis.output.read("datacard.json"))
    assert card["banks"][0]["licences"] == {"CC0": 4, "not given": 1}


def test_the_card_counts_what_is_there(synthesis: Synthesis, art: Path) -> None:
    rows = synthesis.make(str(art), styles=2, strength=[0.5, 1.0], split=SPLIT)
    write_card(Ledger(synthesis.output))
    card = json.loads(synthesis.output.read("datacard.json"))
    assert (card["records"], card["failed"], card["failures"]) == (24, 2, {"empty_file": 2})
    assert card["splits"] == {"train": 12, "test": 12}
    assert card["labels"] == [[s, c, 6] for s in ("test", "train") for c in ("cat", "dog")]
    assert card["styles_used"] == len({row["style"] for row in rows})
    assert sum(card["strengths"]["tenths"]) == 24
    assert sum(card["strengths"]["tenths"][:5]) == 0
    assert [(bank["styles"], bank["left_out"]) for bank in card["banks"]] == [(12, 2)]
    text = synthesis.output.read("README.md").decode()
    assert text.startswith("---\nconfigs:\n")
    assert "| test | cat | 6 |" in text
    assert "12 styles" in text


def test_urns_of_one_bank_are_one(synthesis: Synthesis, art: Path) -> None:
    plan = synthesis.plan(str(art), styles=3)
    assert plan is not None
    opened = synthesis.loaded.ready(plan.styles, 0)
    urns = {id(style.opened.urn) for style in opened if style.opened}
    assert len(urns) == 1
    assert isinstance(opened[0].opened and opened[0].opened.urn, Urn)
    assert isinstance(opened[0].planned, PlannedStyle)
