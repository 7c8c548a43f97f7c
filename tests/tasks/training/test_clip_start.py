"""A small CLIP that goes on from the weights of another run: what it starts from, and what is said of that."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file

from pipelines.train import read_clip_training
from tasks.encoders.clip_models import WEIGHTS
from tasks.records import RequestError
from tasks.training.clip import ClipRecipe, ClipSettings, Network, build_towers, save_clip
from tasks.training.loop import TrainingState, train
from tests.tasks.training.test_clip_training import LOOP, SETTINGS, seen_tokens, two_styles

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run of one step saves."""
    folder = tmp_path_factory.mktemp("embedded") / SETTINGS.network
    state = train(ClipRecipe(two_styles(12, 0), SETTINGS), replace(LOOP, steps=1), tmp_path_factory.mktemp("run"))
    save_clip(SETTINGS.network, SETTINGS.seed, state.average.state_dict(), folder)
    return folder


@pytest.fixture(scope="module")
def continued(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingState:
    """Two steps from the saved model."""
    settings = replace(SETTINGS, seed=5, start=str(saved / WEIGHTS))
    return train(
        ClipRecipe(two_styles(12, 0), settings),
        replace(LOOP, steps=2, learning_rate=1e-5),
        tmp_path_factory.mktemp("on"),
    )


def test_a_run_can_go_on_from_the_weights_of_another(saved: Path, continued: TrainingState) -> None:
    start, unlike = load_file(saved / WEIGHTS), build_towers(SETTINGS.network).state_dict()
    for name, tensor in continued.average.state_dict().items():
        assert torch.allclose(tensor.float(), start[name].float(), atol=1e-3), name
    weight = "visual.conv1.weight"
    assert not torch.allclose(unlike[weight], start[weight].float(), atol=1e-3)
    described = continued.phases[0]["recipe"]
    assert described["start"] == str(saved / WEIGHTS)
    assert described["start_sha256"] == hashlib.sha256((saved / WEIGHTS).read_bytes()).hexdigest()


def test_tokens_never_seen_in_either_run_share_one_embedding(continued: TrainingState, tmp_path: Path) -> None:
    save_clip(SETTINGS.network, 5, continued.average.state_dict(), tmp_path)
    table = load_file(tmp_path / WEIGHTS)["token_embedding.weight"]
    could_be_seen = torch.zeros(len(table), dtype=torch.bool)
    could_be_seen[seen_tokens()] = True
    assert (table[~could_be_seen] == table[~could_be_seen][0]).all()
    seen = table[could_be_seen]
    assert len(seen.unique(dim=0)) > 10
    mean = seen.float().mean(0)
    apart = (table[~could_be_seen][0].float() - mean).norm() / mean.norm()
    assert apart < 0.2  # not all that could be seen was


def test_another_networks_weights_are_no_start() -> None:
    with pytest.raises(RequestError, match=r"recipe\.start: .* is of another network"):
        ClipRecipe(two_styles(2, 0), replace(SETTINGS, start="embedded:clip-small"))


@pytest.mark.parametrize("network", get_args(Network))
def test_the_embedded_models_can_be_gone_on_from(network: Network) -> None:
    recipe = ClipRecipe(two_styles(2, 0), ClipSettings(network=network, start=f"embedded:{network}"))
    scale = float(recipe.network.logit_scale.detach().exp())  # type: ignore[operator]
    assert scale > 15  # its own, not that of a first temperature


def read_recipes(network: Network) -> ClipSettings:
    path = ROOT / "infra" / "jobs" / f"train-{network}.yaml"
    return read_clip_training([], [], path, None).recipe


def test_the_shipped_recipes_are_read() -> None:
    for network in get_args(Network):
        recipe = read_recipes(network)
        assert recipe.network == network
        assert recipe.start == f"embedded:{network}"
