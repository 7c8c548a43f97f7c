"""CLIPstyler's optimisation: many pairs as one program, plateaus, and that it arrives where its style leads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.images.padding import to_tensor
from tasks.losses.crops import Crops, draw_crops
from tasks.methods.base import Pairs, Reference, Representation, Style
from tasks.methods.clipstyler import start as start_of_networks
from tasks.methods.clipstyler.directions import read_targets
from tasks.methods.clipstyler.finish import raise_contrast
from tasks.methods.clipstyler.optimisation import WINDOW, Objective, Optimisation, find_falling, optimise
from tasks.methods.clipstyler.optimize import OptimizeMethod
from tasks.methods.clipstyler.settings import OptimizeSettings
from tasks.methods.clipstyler.tuned import read_networks
from tasks.methods.clipstyler.unet import draw_networks, render_networks
from tasks.methods.text_pictures import squares
from tasks.samples.photographs import sample_photographs
from tests.tasks.methods.conftest import picture, stripes

CPU = torch.device("cpu")
TEXTS = ("fire and flames", "a charcoal drawing")


def settings(**changed: object) -> OptimizeSettings:
    few = {"mode": "optimize", "start": "random", "steps": 3, "crops": 2, "crop_size": 24}
    return OptimizeSettings(**{**few, **changed})


def start(method: OptimizeMethod, seeds: Sequence[int], size: int = 48) -> tuple[Optimisation, list[torch.Generator]]:
    """Pairs of different contents, in the styles by turns."""
    reps = method.represent([Style(text, (Reference(text=text),)) for text in TEXTS])
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    targets = [read_targets(reps[seed % 2], CPU) for seed in seeds]
    content = method.encode(torch.cat([picture(size, size, seed=seed) for seed in seeds]))
    networks = draw_networks(generators, CPU)
    return Optimisation(networks, Objective(content, targets, method.judge, method.settings)), generators


def test_pairs_together_go_the_way_they_go_alone() -> None:
    """One program for three pairs does to each what it does to it alone, to rounding; one update makes that visible."""
    method = OptimizeMethod(settings(pairs_at_once=3), CPU)
    together, generators = start(method, (1, 2, 3))
    drawn = draw_crops(generators, 2, 24, (48, 48))
    before, totals = together.render().detach(), together.step(drawn)
    after = together.render().detach()
    assert (after - before).abs().mean() > 1e-3
    for row, seed in enumerate((1, 2, 3)):
        alone, generators = start(method, (seed,))
        assert_close(alone.render()[0].detach(), before[row], atol=1e-5, rtol=0)
        assert_close(alone.step(draw_crops(generators, 2, 24, (48, 48)))[0], totals[row], atol=0, rtol=1e-4)
        # The sign of a gradient that is next to nothing decides a whole step of Adam: a few pixels differ.
        assert (alone.render()[0].detach() - after[row]).abs().mean() < 0.05 * (after - before)[row].abs().mean()


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All arithmetic in float64."""
    single = torch.Tensor.float
    monkeypatch.setattr(
        torch.Tensor, "float", lambda tensor: tensor if tensor.dtype == torch.float64 else single(tensor)
    )
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def in_double(method: OptimizeMethod) -> OptimizeMethod:
    method.judge.encoder.model.double()
    method.judge = replace(method.judge, extract=deepcopy(method.judge.extract).double())  # others share that one
    return method


@pytest.mark.usefixtures("double")
def test_pairs_together_are_pairs_alone_but_for_rounding() -> None:
    """In float64, where rounding has not grown to a level yet after ten updates; in float32 it soon has."""
    together, alone = (in_double(OptimizeMethod(settings(steps=11, pairs_at_once=n), CPU)) for n in (3, 1))
    reps = together.represent([Style(text, (Reference(text=text),)) for text in TEXTS])
    reps = [Representation({name: tensor.double() for name, tensor in rep.tensors.items()}) for rep in reps]
    content = together.encode(picture(32, 40, seed=1, count=2).double())
    pairs = Pairs([0, 1, 0], [0, 1, 1], [5, 6, 7])
    assert_close(together.render(content, reps, pairs), alone.render(content, reps, pairs), atol=1e-4, rtol=0)


def test_a_pair_s_picture_is_its_seed_s(images: Tensor) -> None:
    method = OptimizeMethod(settings(), CPU)
    reps = method.represent([Style("fire", (Reference(text=TEXTS[0]),))])
    content = method.encode(images[:1])
    first, again, other = (method.render(content, reps, Pairs([0], [0], [seed])) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.01


@pytest.fixture
def images() -> Tensor:
    return picture(48, 64, seed=4, count=2)


def test_an_optimisation_arrives() -> None:
    """Forty steps lower what pulls towards the style, and the sum of all."""
    method = OptimizeMethod(settings(steps=41, crops=4, crop_size=32, learning_rate=3e-3, threshold=0.0), CPU)
    running, generators = start(method, (2, 4), size=64)
    drawn = draw_crops([torch.Generator().manual_seed(0)] * 2, 4, 32, (64, 64))
    with torch.no_grad():
        first = running.objective.losses(running.render(), drawn)
    optimise(running, generators)
    with torch.no_grad():
        last = running.objective.losses(running.render(), drawn)
    assert last["direction"].mean() < first["direction"].mean() - 0.1
    assert running.objective.total(last).mean() < 0.9 * running.objective.total(first).mean()


def test_a_pair_that_no_longer_falls_stops_and_the_others_go_on() -> None:
    history = [torch.tensor([1.0, 1.0])] * WINDOW + [torch.tensor([0.5, 0.99])] * WINDOW
    assert find_falling(history, 0.1) == [0]
    assert find_falling(history, 0.0) == [0, 1]


def test_an_optimisation_kept_for_some_pairs_goes_on_as_it_would_have() -> None:
    method = OptimizeMethod(settings(pairs_at_once=2), CPU)
    whole, generators = start(method, (1, 2))
    drawn = [draw_crops(generators, 2, 24, (48, 48)) for _ in range(2)]
    whole.step(drawn[0])
    kept, before = whole.keep([1]), whole.render()[1].detach()
    whole.step(drawn[1])
    kept.step(Crops(24, 24, drawn[1].top_left_NK2[1:], drawn[1].corners_NK42[1:]))
    assert kept.updates == whole.updates == 2
    after = whole.render()[1].detach()
    assert (kept.render()[0].detach() - after).abs().mean() < 0.3 * (after - before).abs().mean()


def test_a_composite_costs_no_network_for_a_reference_that_counts_nowhere(images: Tensor) -> None:
    method = OptimizeMethod(settings(), CPU)
    style = Style("mix", tuple(Reference(text=text) for text in (*TEXTS, "glass")), composite=True)
    reps = method.represent([style, Style("fire", style.references[:1])])
    shares = torch.zeros(3, *images.shape[2:])
    shares[0, :20], shares[2, 20:] = 1, 1
    pairs = Pairs([0, 1, 0], [0, 1, 0], [1, 2, 3], [shares, None, shares.flip(0)])
    assert [output.place for output in method._wanted(reps, pairs)] == [0, 0, 1, 2, 2]
    content = method.encode(images)
    made = method.render(content, reps, pairs)
    alone = method.render(content, reps, Pairs([0], [1], [1]))
    assert_close(made[0][:, :20], alone[0][:, :20], atol=1e-5, rtol=0)
    assert (made[0] - alone[0])[:, 20:].abs().mean() > 1e-4
    assert_close(made[1], method.render(content, reps, Pairs([1], [1], [2]))[0], atol=1e-5, rtol=0)


def test_a_plateau_ends_a_pair_early(images: Tensor) -> None:
    """With a share that no pair can fall by, each stops after two windows."""
    stopped = settings(steps=3 * WINDOW, plateau=0.99, crops=1, crop_size=8)
    method, patient = (
        OptimizeMethod(stopped, CPU),
        OptimizeMethod(settings(steps=2 * WINDOW + 1, crops=1, crop_size=8), CPU),
    )
    small = images[..., :16, :16]
    reps = method.represent([Style("fire", (Reference(text=TEXTS[0]),))])
    pairs = Pairs([0], [0], [1])
    early = method.render(method.encode(small), reps, pairs)
    assert torch.equal(early, patient.render(patient.encode(small), reps, pairs))


def test_a_picture_leads_where_it_is(images: Tensor) -> None:
    """The directions of a picture: one of the whole, one of each patch, all of unit length."""
    method = OptimizeMethod(settings(crops=5), CPU)
    references = (Reference(0.25, image_CHW=stripes(60, 40)), Reference(0.75, text=TEXTS[0]))
    (rep,) = method.represent([Style("mix", references)])
    targets = read_targets(rep, CPU)
    assert targets.weights == (0.25, 0.75)
    assert [len(target.patches_QD) for target in targets.references] == [5, 1]
    for target in targets.references:
        assert_close(target.patches_QD.norm(dim=1), torch.ones(len(target.patches_QD)), atol=1e-5, rtol=0)
    of_stripes = method.encode(to_tensor([(stripes(48, 64) * 255).byte().permute(1, 2, 0).numpy()]))
    towards = of_stripes.tensors["embedding"] - method.encode(images[:1]).tensors["embedding"]
    assert float(targets.only(0).whole_losses(torch.nn.functional.normalize(towards))) < 0.7


def test_a_fitted_network_gives_photographs_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_of_networks, "STEPS", 80)
    fitted = start_of_networks.fit_network(0, CPU)
    drawn = draw_networks([torch.Generator().manual_seed(0)], CPU)
    networks = {name: torch.stack([drawn[name][0], fitted[name]]) for name in drawn}
    photograph_13SS = squares([pixels for _, pixels in sample_photographs(1)], 96)
    with torch.no_grad():
        random, back = render_networks(networks, photograph_13SS.repeat(2, 1, 1, 1))
    assert (back - photograph_13SS[0]).abs().mean() < 0.6 * (random - photograph_13SS[0]).abs().mean()


@pytest.fixture
def soon_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks to start from that are fitted and tuned in no time, and so not well."""
    for name, few in {"STEPS": 2, "TUNING_STEPS": 2, "TUNING_SIDE": 48}.items():
        monkeypatch.setattr(start_of_networks, name, few)


@pytest.mark.usefixtures("soon_tuned")
def test_pairs_start_from_the_networks_that_their_style_keeps(images: Tensor) -> None:
    """With no update to make, what is rendered is the network itself, whatever the seed: of a mix, the mean one."""
    method = OptimizeMethod(settings(steps=1, start="style"), CPU)
    references = tuple(Reference(weight, text=text) for weight, text in zip((0.25, 0.75), TEXTS, strict=True))
    plain, composite = method.represent([Style("mix", references), Style("parts", references, composite=True)])
    fire, charcoal = read_networks(plain, "start")
    assert any(not torch.equal(fire[name], charcoal[name]) for name in fire)
    mean = {name: 0.25 * fire[name] + 0.75 * charcoal[name] for name in fire}
    content = method.encode(images[:1])
    with torch.no_grad():
        expected = [render_networks({name: t[None] for name, t in one.items()}, images[:1]) for one in (mean, fire)]
    shares = torch.zeros(2, *images.shape[2:])
    shares[0] = 1
    for seed in (1, 2):
        mixed, only_fire = method.render(content, [plain, composite], Pairs([0, 0], [0, 1], [seed] * 2, [None, shares]))
        assert_close(mixed, expected[0][0], atol=1e-5, rtol=0)
        assert_close(only_fire, expected[1][0], atol=1e-5, rtol=0)


@pytest.mark.usefixtures("soon_tuned")
def test_a_tuned_network_leads_to_the_style_on_what_it_has_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_of_networks, "STEPS", 40)
    photographs_N3SS = squares([pixels for _, pixels in sample_photographs(2)], 48)
    losses = []
    for steps in (0, 20):
        monkeypatch.setattr(start_of_networks, "TUNING_STEPS", steps)
        method = OptimizeMethod(settings(steps=1, start="style", learning_rate=3e-3, threshold=0.0), CPU)
        reps = method.represent([Style("fire", (Reference(text=TEXTS[0]),))])
        content = method.encode(photographs_N3SS)
        made_N3SS = method.render(content, reps, Pairs([0, 1], [0, 0], [1, 2]))
        towards_ND = method.encode(made_N3SS).tensors["embedding"] - content.tensors["embedding"]
        whole = read_targets(reps[0], CPU).whole_losses(torch.nn.functional.normalize(towards_ND))
        losses.append(float(whole.mean()))
    assert losses[1] < losses[0] - 0.1


def test_contrast_is_about_the_mean_luminance() -> None:
    image = picture(8, 8, seed=1)
    assert torch.equal(raise_contrast(image, 1.0), image)
    raised = raise_contrast(0.5 + (image - 0.5) * 0.2, 1.5)
    assert raised.std() > 1.4 * (image * 0.2).std()
