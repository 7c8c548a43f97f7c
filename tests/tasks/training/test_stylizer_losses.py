"""The recipe of stylizers: each loss has its switch, and does what it is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.records import RequestError
from tasks.training.networks import Adversaries, build_network, build_stylizer
from tasks.training.perception import Perceptual
from tasks.training.stylizer import ABLATIONS, StylizerRecipe, StylizerTraining, make_recipe
from tasks.training.stylizer_losses import StylizerLosses
from tasks.training.stylizer_settings import StylizerSettings

OFF = StylizerSettings(
    batch=2,
    crop=32,
    content_weight=0,
    style_weight=0,
    final_style_weight=0,
    identity_weight=0,
    variation_weight=0,
    positions=64,
    directions=4,
)
WEIGHTS = {
    "content": {"content_weight": 2.0},
    "style": {"style_weight": 3.0, "final_style_weight": 3.0},
    "identity": {"identity_weight": 4.0},
    "variation": {"variation_weight": 5.0},
    "local": {"local_weight": 6.0},
    "structure": {"structure_weight": 7.0},
    "transport": {"transport_weight": 8.0},
    "adversarial": {"adversarial_weight": 9.0, "crop": 64, "discriminator_width": 4},
}
ALL_ON = {key: value for weights in WEIGHTS.values() for key, value in weights.items()}


@pytest.fixture
def training(photos: Path, art: Path, vgg: Path) -> StylizerTraining:
    return StylizerTraining([photos], [art], [vgg], OFF)


def open_recipe(training: StylizerTraining, name: str = "adain", **changes: object) -> StylizerRecipe:
    settings = replace(training.recipe, **changes)  # type: ignore[arg-type]
    return make_recipe(name, replace(training, recipe=settings), torch.device("cpu"))


def judge(recipe: StylizerRecipe, step: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    return recipe.loss(recipe.network, recipe.draw(0), step)


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_loss_that_is_on_alone_is_all_that_counts(name: str, training: StylizerTraining) -> None:
    recipe = open_recipe(training, **WEIGHTS[name])
    total, parts = judge(recipe)
    others = {"discriminator": 1.0} if name == "adversarial" else {}
    weights = {name: next(iter(WEIGHTS[name].values())), **others}
    assert parts.keys() == weights.keys()
    values = {part: float(loss.detach()) for part, loss in parts.items()}
    assert float(total.detach()) == pytest.approx(sum(weights[part] * values[part] for part in parts), rel=1e-5)
    assert values[name] > 0
    total.backward()
    stylizer = recipe.network.stylizer if isinstance(recipe.network, Adversaries) else recipe.network
    assert max(float(each.grad.abs().max()) for each in stylizer.parameters() if each.grad is not None) > 0


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_loss_that_is_off_is_not_there(name: str, training: StylizerTraining) -> None:
    _, parts = judge(open_recipe(training, **{**ALL_ON, **dict.fromkeys(WEIGHTS[name], 0), "crop": 64}))
    on = [*WEIGHTS, "discriminator"]
    without = {name, "discriminator"} if name == "adversarial" else {name}
    assert set(parts) == set(on) - without


@pytest.mark.parametrize("name", [name for name in WEIGHTS if name != "adversarial"])
def test_a_loss_that_is_learned_falls(name: str, training: StylizerTraining) -> None:
    recipe = open_recipe(training, **WEIGHTS[name])
    optimiser = torch.optim.Adam(recipe.network.parameters(), lr=1e-3)
    losses = []
    for _ in range(10):
        total, parts = judge(recipe)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        losses.append(float(parts[name].detach()))
    assert min(losses[5:]) < 0.97 * losses[0]


def test_the_adversaries_leave_each_other_alone_until_their_step(training: StylizerTraining) -> None:
    recipe = open_recipe(training, **WEIGHTS["adversarial"], adversarial_start=3, content_weight=1.0)
    assert isinstance(recipe.network, Adversaries)
    assert judge(recipe, step=2)[1].keys() == {"content"}
    total, parts = judge(recipe, step=3)
    assert parts.keys() == {"content", "adversarial", "discriminator"}
    total.backward()
    assert all(each.grad is not None for each in recipe.network.discriminator.parameters())


def test_the_discriminator_learns_to_tell_art_from_what_is_made(training: StylizerTraining) -> None:
    recipe = open_recipe(training, **WEIGHTS["adversarial"])
    assert isinstance(recipe.network, Adversaries)
    optimiser = torch.optim.Adam(recipe.network.discriminator.parameters(), lr=3e-3)
    losses = []
    for step in range(12):
        total, parts = recipe.loss(recipe.network, recipe.draw(step), step)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        losses.append(float(parts["discriminator"].detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_without_an_adversary_the_network_is_the_stylizer_itself() -> None:
    assert build_network("adain", OFF.__class__()).state_dict().keys() == build_stylizer("adain").state_dict().keys()


def test_the_style_weight_rises_along_its_ramp(training: StylizerTraining) -> None:
    settings = replace(OFF, style_weight=0, final_style_weight=4, ramp_start=10, ramp_end=20)
    losses = StylizerLosses(Perceptual(None, nn.Identity()), settings)
    assert [losses.style_weight(step) for step in (0, 10, 15, 20, 99)] == [0, 0, 2, 4, 4]
    assert judge(open_recipe(training, final_style_weight=4.0, ramp_start=10, ramp_end=20))[1] == {}


def test_transport_takes_positions_by_seed_and_step(training: StylizerTraining) -> None:
    few = [open_recipe(training, transport_weight=1.0, transport_positions=8, seed=0) for _ in range(2)]
    again, other = judge(few[0], step=5)[1]["transport"], judge(few[0], step=6)[1]["transport"]
    assert again == judge(few[1], step=5)[1]["transport"]
    assert again != other


class Offset(nn.Module):
    """Features far from 0 that hardly vary: what half precision makes of their squares is noise."""

    def forward(self, images_NCHW: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(images_NCHW, 2**level) + 8 for level in range(4)]


def test_losses_are_those_of_float32_under_autocast() -> None:
    settings = replace(OFF, **{**ALL_ON, "adversarial_weight": 0, "identity_weight": 0, "wasserstein_weight": 1.0})
    losses = StylizerLosses(Perceptual(None, Offset()), settings)
    generator = torch.Generator().manual_seed(0)
    losses.scale_to(torch.rand(8, 3, 32, 32, generator=generator))
    pictures = torch.rand(3, 2, 3, 32, 32, generator=generator)
    expected = losses.judge(pictures[0], pictures[1], pictures[2], 0)
    with torch.autocast("cpu", torch.bfloat16):
        found = losses.judge(pictures[0], pictures[1], pictures[2], 0)
    assert found.keys() == expected.keys() == {"content", "style", "variation", "local", "structure", "transport"}
    for name, (_, loss) in expected.items():
        assert float(found[name][1]) == pytest.approx(float(loss), rel=1e-4), name


def test_ablated_steps_turn_each_switch_off_and_share_the_steps(training: StylizerTraining) -> None:
    recipe = open_recipe(training, "style_kernel", content_weight=1.0, ablated=0.5)
    drawn = [recipe.switches(step).get("switches") for step in range(200)]
    assert 70 < sum(each is not None for each in drawn) < 130
    assert {(each.gated, each.shuffled, each.taps) for each in drawn if each} == {
        (False, True, None),
        (True, False, None),
        (True, True, 3),
        (True, True, 1),
    }
    assert len(ABLATIONS) == 4
    assert drawn == [recipe.switches(step).get("switches") for step in range(200)]
    assert open_recipe(training, "style_kernel", content_weight=1.0).switches(0) == {}
    step = next(step for step, each in enumerate(drawn) if each)
    assert torch.isfinite(judge(recipe, step)[0])


@pytest.mark.parametrize("name", ["adain", "adaattn", "style_kernel"])
def test_a_network_starts_from_the_tensors_that_it_shares(name: str, tmp_path: Path) -> None:
    trunk = {key: torch.full_like(value, 0.5) for key, value in build_stylizer("adain").state_dict().items()}
    save_file({**trunk, "other.weight": torch.ones(2)}, tmp_path / "first.safetensors")
    network = build_network(name, replace(StylizerSettings(), start=str(tmp_path / "first.safetensors")))
    shared = [value for key, value in network.state_dict().items() if key in trunk]
    assert len(shared) == len(trunk)
    assert all((value == 0.5).all() for value in shared)
    assert name == "adain" or any((value != 0.5).any() for value in network.state_dict().values())
    save_file({"other.weight": torch.ones(2)}, tmp_path / "none.safetensors")
    with pytest.raises(RequestError, match="no tensor of this network"):
        build_network(name, replace(StylizerSettings(), start=str(tmp_path / "none.safetensors")))


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("adain", {"encoder": "vgg", "encoder_weights": "vgg.pth"}, "adain has no encoder 'vgg'"),
        ("adaattn", {"encoder": "vgg"}, "needs encoder_weights: name vgg_normalised.pth"),
        ("adaattn", {"encoder_weights": "vgg.pth"}, "belong to encoder: vgg"),
        ("style_kernel", {"encoder": "vgg", "encoder_weights": "nowhere.pth"}, "no weights file at nowhere.pth"),
        ("adain", {"crop": 40}, "crop: write a multiple of 16"),
        ("adain", {"adversarial_weight": 1.0, "crop": 48}, "looks at 64 pixels or more"),
        ("adaattn", {"ablated": 0.1}, "ablated belongs to style_kernel"),
        ("adain", OFF.__dict__, "every loss is off"),
    ],
)
def test_settings_that_do_not_go_together_say_what_to_write(name: str, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        build_network(name, replace(StylizerSettings(), **changes))  # type: ignore[arg-type]
