"""Training a small CLIP: it learns styles, resumes exactly, and ships what open_clip reads."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipelines.cli import main
from pipelines.train import export_clip
from tasks.encoders.clip import open_clip_model
from tasks.losses.templates import TEMPLATES
from tasks.records import RequestError
from tasks.training import captions
from tasks.training.captions import NONE, Truths, Vocabulary
from tasks.training.clip import (
    TOWERS,
    ClipRecipe,
    ClipSettings,
    Network,
    build_towers,
    open_tokenizer,
    save_clip,
    spread_cross_entropy,
)
from tasks.training.loop import LoopSettings, TrainingState, train
from tasks.training.renders import Pixels, Renders
from tests.tasks.training.conftest import Drawn

STYLES = (("red blots", "a red picture"), ("blue stripes", "a blue picture"))
SETTINGS = ClipSettings(network="clip-judge-small", rows=4, views=2, tinted=0)
LOOP = LoopSettings(
    steps=16, warmup_steps=2, average_decay=0.7, log_steps=4, sheet_steps=16, device="cpu", precision="float32"
)
RECIPE_YAML = "recipe: {rows: 3, views: 2}\nrenders: {views: 6, side: 40, texture_rows: 2}\nloop: {device: cpu}\n"


def plain_view(style: int, rng: np.random.Generator) -> Pixels:
    """Red blots or blue stripes, on grey, 64 pixels wide."""
    pattern = rng.random((8, 8)) < 0.5 if style == 0 else (np.arange(8) + rng.integers(2)) % 2 * np.ones((8, 1))
    view = np.full((8, 8, 3), rng.integers(90, 160), np.uint8)
    view[pattern.astype(bool)] = (230, 20, 20) if style == 0 else (20, 20, 230)
    return view.repeat(8, 0).repeat(8, 1)


def two_styles(rows: int, seed: int) -> Renders:
    """Rows of one view in each of the two styles; nothing else is known of them."""
    rng = np.random.default_rng(seed)
    views = np.stack([np.stack([plain_view(style, rng) for style in (0, 1)]) for _ in range(rows)])
    nothing = np.full(2 * rows, NONE)
    truths = Truths(np.tile([0, 1], rows), nothing, nothing, np.zeros(2 * rows, np.int64))
    return Renders(views, truths, Vocabulary(STYLES, (), (), ()))


SHORT = two_styles(2, 0), ClipSettings(network="clip-small", rows=2, views=2, tinted=0)
SHORT_LOOP = replace(LOOP, steps=3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def trained(run: Path) -> TrainingState:
    return train(ClipRecipe(two_styles(12, 0), SETTINGS), LOOP, run)


@pytest.fixture(scope="module")
def saved(trained: TrainingState, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedded") / SETTINGS.network
    save_clip(SETTINGS.network, SETTINGS.seed, trained.average.state_dict(), folder)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainingState:
    """A short run of the network that counts: its batch normalisation keeps running statistics."""
    return train(ClipRecipe(*SHORT), SHORT_LOOP, tmp_path_factory.mktemp("whole"))


def test_a_run_learns_logs_and_draws_a_sheet(trained: TrainingState, run: Path) -> None:
    lines = [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 8, 12, 16]
    assert lines[-1]["loss"] < 0.9 * lines[0]["loss"]
    assert lines[-1]["found"] > 0.9
    assert (run / "sheet-000016.png").stat().st_size > 1_000
    assert trained.step == 16


def test_a_saved_model_opens_and_tells_the_styles_apart(saved: Path) -> None:
    encoder = open_clip_model(f"local-dir:{saved}")
    unseen = two_styles(6, 1)
    images_ND = encoder.embed_images(list(unseen.views_RVSS3.reshape(12, 64, 64, 3)))
    texts_TD = encoder.embed_texts([phrases[0] for phrases in STYLES])
    assert images_ND.shape == (12, TOWERS[SETTINGS.network]["embed_dim"])
    assert torch.allclose(images_ND.norm(dim=1), torch.ones(12))
    right = (images_ND @ texts_TD.T).argmax(1) == torch.tensor([0, 1] * 6)
    assert right.float().mean() > 0.8


def test_a_saved_model_is_the_average_within_half_precision(saved: Path, trained: TrainingState) -> None:
    tensors = load_file(saved / "open_clip_model.safetensors")
    average = trained.average.state_dict()
    assert tensors.keys() == average.keys()
    for name, tensor in tensors.items():
        if name != "token_embedding.weight":
            assert torch.allclose(tensor.float(), average[name].float(), rtol=1e-3, atol=1e-6), name
            assert tensor.dtype == (torch.float16 if average[name].is_floating_point() else average[name].dtype)


def seen_tokens() -> Tensor:
    """Of every caption that the run could write, without the padding."""
    tokenize = open_tokenizer(SETTINGS.network)
    phrases = [phrase for style in STYLES for phrase in style]
    texts = [template.format(style=phrase) for template in captions.STYLE_ONLY for phrase in phrases]
    return tokenize([*texts, *(frame.format(phrase) for frame in TEMPLATES for phrase in phrases)]).unique()[1:]


def test_tokens_never_seen_share_one_embedding(saved: Path) -> None:
    table = load_file(saved / "open_clip_model.safetensors")["token_embedding.weight"]
    could_be_seen = torch.zeros(len(table), dtype=torch.bool)
    could_be_seen[seen_tokens()] = True
    assert len(table) - could_be_seen.sum() > 40_000
    assert (table[~could_be_seen] == table[~could_be_seen][0]).all()
    words = open_tokenizer(SETTINGS.network)(["red blue"])[0, 1:3]
    assert not torch.equal(table[words[0]], table[words[1]])
    assert not torch.equal(table[words[0]], table[~could_be_seen][0])


class Killed(ClipRecipe):
    """Dies when the batch of a step is drawn, as a killed process would."""

    def draw(self, step: int) -> dict[str, Tensor]:
        if step == 1:
            raise KeyboardInterrupt
        return super().draw(step)


def test_a_resumed_run_equals_one_that_never_stopped(whole: TrainingState, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(Killed(*SHORT), replace(SHORT_LOOP, checkpoint_seconds=0), tmp_path)
    resumed = train(ClipRecipe(*SHORT), SHORT_LOOP, tmp_path, resume=True)
    assert [phase["from_step"] for phase in resumed.phases] == [0, 1]
    assert resumed.step == whole.step == 3
    expected = whole.tensors()
    for name, tensor in resumed.tensors().items():
        assert torch.equal(tensor, expected[name]), name


def test_the_moving_average_has_running_statistics_of_its_own(whole: TrainingState) -> None:
    first = dict(ClipRecipe(*SHORT).network.named_buffers())
    average, last = (dict(network.named_buffers()) for network in (whole.average, whole.network))
    means = [name for name in last if name.endswith("running_mean")]
    assert means
    for name in means:
        between = (average[name] - first[name]).norm() / (last[name] - first[name]).norm()
        assert 0 < between < 1, name
    assert all(average[name] == 3 for name in last if name.endswith("num_batches_tracked"))
    weights = dict(whole.network.named_parameters())
    assert any(not torch.equal(mean, weights[name]) for name, mean in whole.average.named_parameters())


@pytest.mark.parametrize("network", get_args(Network))
def test_the_networks_are_small(network: Network) -> None:
    assert TOWERS.keys() == set(get_args(Network))
    assert 1e6 < sum(parameter.numel() for parameter in build_towers(network).parameters()) < 8e6


def test_the_two_networks_see_in_different_ways() -> None:
    towers = [type(build_towers(network).visual).__name__ for network in get_args(Network)]
    assert len(set(towers)) == 2


def test_batches_depend_on_seed_and_step_alone() -> None:
    renders = two_styles(6, 0)

    def draw(seed: int, step: int) -> dict[str, Tensor]:
        return ClipRecipe(renders, replace(SETTINGS, seed=seed)).draw(step)

    first, again = draw(7, 5), draw(7, 5)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["images"], draw(7, 6)["images"])
    assert not torch.equal(first["images"], draw(8, 5)["images"])
    assert first["images"].shape == (8, 3, 128, 128)
    assert first["tokens"].shape == (8, 32)
    assert (first["true"].sum(1) == 4).all()  # each style is that of half the pictures


def test_the_target_is_spread_over_all_that_is_true() -> None:
    true = torch.tensor([[True, True, False, False], [False, False, False, True]])
    even = torch.where(true, 30.0, -30.0)
    assert float(spread_cross_entropy(even, true)) == pytest.approx(np.log(2) / 2, abs=1e-5)
    assert float(spread_cross_entropy(torch.zeros(2, 4), true)) == pytest.approx(np.log(4))
    assert float(spread_cross_entropy(-even, true)) > 50


def atelier(monkeypatch: pytest.MonkeyPatch, *words: object) -> int | str | None:
    """The exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["atelier", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_from_folders_to_a_model_with_a_card(drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, about = tmp_path / "recipe.yaml", tmp_path / "about.yaml"
    recipe.write_text(RECIPE_YAML)
    about.write_text("licence: none\n")
    before = sorted(drawn.folder.iterdir())
    words = ["--photos", drawn.photos, "--art", drawn.art, "--output", tmp_path / "run", "--recipe", recipe]
    assert atelier(monkeypatch, "train", "clip", *words, "--renders", drawn.folder, "--steps", 1) == 0
    assert sorted(drawn.folder.iterdir()) == before  # found, not drawn again
    words = ["--photos", drawn.art, "--labelled", drawn.photos, "--output", tmp_path / "embedded", "--about", about]
    assert atelier(monkeypatch, "train", "export-clip", "--run", tmp_path / "run", *words) == 0
    card = json.loads((tmp_path / "embedded" / "clip-small.card.json").read_text())
    assert card["licence"] == "none"
    assert card["bytes"] == (tmp_path / "embedded" / "clip-small" / "open_clip_model.safetensors").stat().st_size
    assert card["training"]["steps"] == 1
    described = card["training"]["phases"][0]["recipe"]
    assert [described[name] for name in ("network", "rows", "views", "renders")] == ["clip-small", 3, 2, 30]
    assert card["figures"]["pairs"] == card["figures"]["kind_pictures"] == 1
    assert 0 <= card["figures"]["style_top1"] <= card["figures"]["style_top5"] < 0.5


@pytest.mark.parametrize(
    ("yaml", "named"),
    [
        ("recipe: {netwrok: clip-small}", "recipe.netwrok does not exist"),
        ("recipe: {network: clip-huge}", "recipe.network: Input should be 'clip-small' or 'clip-judge-small'"),
        ("recipe: {rows: many}", "recipe.rows"),
        ("recipe: {rows: 0}", "recipe.rows"),
        ("recipe: {shown: {smallest_window: 1.5}}", "recipe.shown.smallest_window"),
        ("recipe: {shown: {tiltd: 0.5}}", "recipe.shown.tiltd"),
        ("recipe: 3", "recipe is not a mapping"),
        ("renders: {views: 500}", "renders.views"),
        ("loop: {stepz: 3}", "loop.stepz does not exist"),
        ("looop: {steps: 3}", "looop does not exist: write one of recipe, renders, loop"),
        ("- recipe", "is not a mapping"),
        ("recipe: {", "is not a YAML file"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], yaml: str, named: str
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml)
    words = ["--photos", tmp_path, "--art", tmp_path, "--output", tmp_path / "run", "--recipe", recipe]
    assert atelier(monkeypatch, "train", "clip", *words) == 2
    said = capsys.readouterr()
    assert named in said.err
    assert said.err.startswith(f"atelier: {recipe}")
    assert said.out == ""
    assert not (tmp_path / "run").exists()


def test_the_run_of_another_network_is_not_exported(drawn: Drawn, tmp_path: Path) -> None:
    TrainingState(nn.Linear(1, 1), LOOP, {"seed": 0}).save(tmp_path / "checkpoint.safetensors")
    with pytest.raises(RequestError, match="not a run of `train clip`"):
        export_clip(tmp_path, tmp_path / "embedded", [drawn.photos], [drawn.photos])
    assert not (tmp_path / "embedded").exists()


def test_a_batch_has_tinted_photographs_beside_its_rows(drawn: Drawn) -> None:
    batch = ClipRecipe(drawn.renders, replace(SETTINGS, tinted=5)).draw(0)
    pictures, captions_T = len(batch["images"]), len(batch["tokens"])
    assert 8 < pictures == captions_T <= 13
    assert batch["true"].shape == (pictures, pictures)
    assert batch["true"].diagonal().all()
