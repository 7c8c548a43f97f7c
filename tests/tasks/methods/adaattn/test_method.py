"""AdaAttN on our compact network: what its settings do, and what they leave alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.testing import assert_close

from tasks.encoders.statistics import normalise_channels
from tasks.methods.adaattn.backbones import AdaAttnBackbone, small_layout
from tasks.methods.adaattn.method import open_method
from tasks.methods.adaattn.settings import AdaattnSettings, GateSettings
from tasks.methods.adaattn.small import SmallAdaAttN
from tasks.methods.base import Pairs, Reference, Representation, Style
from tasks.methods.local import LocalMethod
from tasks.records import RequestError
from tests.tasks.methods.conftest import adaattn_small, adaattn_vgg, picture, random_tensors, render_one, stripes, style

CLOSE = {"atol": 1e-4, "rtol": 0.0}
IMAGE = picture(48, 64, seed=4)
FIRST, SECOND = picture(80, 96, seed=1)[0], stripes(64, 80)


@pytest.fixture(scope="module")
def adaattn(tmp_path_factory: pytest.TempPathFactory) -> LocalMethod:
    return open_method(adaattn_small(tmp_path_factory.mktemp("weights")))


def varied(method: LocalMethod, **changes: object) -> LocalMethod:
    settings = method.settings.model_copy(update=changes)
    assert isinstance(settings, AdaattnSettings)
    return open_method(settings)


def network_of(method: LocalMethod) -> SmallAdaAttN:
    assert isinstance(method.backbone, AdaAttnBackbone)
    assert isinstance(method.backbone.network, SmallAdaAttN)
    return method.backbone.network


def represented(method: LocalMethod, *pictures: Tensor) -> Representation:
    (rep,) = method.represent([style(*pictures)])
    return rep


def test_the_verbs_are_the_trained_network(adaattn: LocalMethod) -> None:
    """As it was trained, but for eight bits a colour, in which a style picture is kept."""
    with torch.inference_mode():
        expected = network_of(adaattn)(IMAGE, (FIRST * 255).round()[None] / 255).clamp(0, 1)
    assert_close(render_one(adaattn, IMAGE, represented(adaattn, FIRST)), expected, **CLOSE)


def test_no_strength_reconstructs_and_half_is_between(adaattn: LocalMethod) -> None:
    rep = represented(adaattn, SECOND)
    none, half, full = (render_one(varied(adaattn, strength=s), IMAGE, rep) for s in (0.0, 0.5, 1.0))
    with torch.inference_mode():
        assert_close(none, network_of(adaattn).reconstruct(IMAGE).clamp(0, 1), **CLOSE)
    assert 0 < (half - full).abs().mean() < (none - full).abs().mean()


def test_a_subset_of_tokens_is_drawn_by_its_seed(adaattn: LocalMethod) -> None:
    def rendered(**changes: object) -> Tensor:
        method = varied(adaattn, **changes)
        return render_one(method, IMAGE, represented(method, FIRST))

    few = rendered(max_tokens=50, max_tokens_deep=20)
    assert torch.equal(few, rendered(max_tokens=50, max_tokens_deep=20))
    assert not torch.equal(few, rendered(max_tokens=50, max_tokens_deep=20, token_seed=1))
    assert not torch.equal(few, rendered(max_tokens=50))
    all_of_them = 40 * 48
    whole = rendered(max_tokens=all_of_them, max_tokens_deep=all_of_them)
    assert torch.equal(whole, rendered(max_tokens=10**6, max_tokens_deep=10**6, token_seed=1))


def test_tokens_kept_are_as_many_as_allowed(adaattn: LocalMethod) -> None:
    backbone = varied(adaattn, max_tokens=50, max_tokens_deep=20).backbone
    with torch.inference_mode():
        prepared = backbone.prepare(FIRST[None])
    counts = [[prepared[f"{kind}{level}"].shape[1] for kind in ("keys", "values")] for level in (0, 1, 2)]
    assert counts == [[50, 50], [20, 20], [20, 20]]


def test_memory_for_scores_changes_nothing(adaattn: LocalMethod) -> None:
    rep = represented(adaattn, FIRST, SECOND)
    least = render_one(varied(adaattn, attention_megabytes=1), IMAGE, rep)
    assert_close(least, render_one(varied(adaattn, attention_megabytes=4000), IMAGE, rep), **CLOSE)


def test_the_gate_of_style_kernel_plugs_in(adaattn: LocalMethod) -> None:
    """One that keeps all tokens changes nothing, one that leaves half out does, in a union as with one picture."""
    for rep in (represented(adaattn, FIRST), represented(adaattn, FIRST, SECOND)):
        plain = render_one(adaattn, IMAGE, rep)
        open_gate = render_one(varied(adaattn, gate=GateSettings(alpha=0, beta=1e6)), IMAGE, rep)
        gated = render_one(varied(adaattn, gate=GateSettings()), IMAGE, rep)
        assert_close(open_gate, plain, **CLOSE)
        assert (gated - plain).abs().max() > 10 * CLOSE["atol"]


def test_epsilon_is_the_least_deviation(adaattn: LocalMethod) -> None:
    rep = represented(adaattn, FIRST)
    images = [render_one(varied(adaattn, epsilon=epsilon), IMAGE, rep) for epsilon in (None, 1e-6, 1.0)]
    assert torch.equal(images[0], images[1])
    assert (images[2] - images[0]).abs().max() > 10 * CLOSE["atol"]


def test_a_mask_keeps_each_reference_to_its_region(adaattn: LocalMethod) -> None:
    """Far from the seam, a half is what it is in that reference's style alone, but for what the decoder sees around."""
    image = picture(64, 256, seed=4)
    left = (torch.arange(256) < 128).float().expand(64, 256)
    references = (Reference(image_CHW=FIRST), Reference(image_CHW=SECOND))
    (rep,) = adaattn.represent([Style("halves", references, composite=True)])
    pairs = Pairs([0], [0], [0], [torch.stack([left, 1 - left])])
    both = adaattn.render(adaattn.encode(image), [rep], pairs)
    first, second = (render_one(adaattn, image, represented(adaattn, one)) for one in (FIRST, SECOND))
    assert_close(both[..., :80], first[..., :80], atol=2e-3, rtol=0)
    assert_close(both[..., -80:], second[..., -80:], atol=2e-3, rtol=0)
    assert (first - second)[..., :80].abs().mean() > 5e-3


def test_settings_with_the_same_weights_share_their_network(adaattn: LocalMethod) -> None:
    assert network_of(varied(adaattn, strength=0.5, max_tokens=7)) is network_of(adaattn)


def test_gradients_reach_the_picture_that_a_text_is_painted_with(adaattn: LocalMethod) -> None:
    """Also one of a single colour, whose tokens have no deviation."""
    for start in (FIRST[None], torch.full((1, 3, 64, 64), 0.5)):
        painted = start.clone().requires_grad_()
        adaattn.backbone.stylize(IMAGE, painted).sum().backward()
        assert painted.grad is not None
        assert bool(painted.grad.isfinite().all())
        assert float(painted.grad.abs().max()) > 0


def test_foreign_weights_are_refused_by_name(tmp_path: Path) -> None:
    vgg = adaattn_vgg(tmp_path)
    assert vgg.weights is not None
    with pytest.raises(RequestError, match=r"not the weights of adaattn's small network: the tensor \S+ is missing"):
        open_method(AdaattnSettings(weights=str(tmp_path / "decoder.pth")))
    swapped = vgg.weights.model_copy(update={"attention": vgg.weights.decoder})  # type: ignore[union-attr]
    with pytest.raises(RequestError, match=r"attention \(latest_net_adaattn_3\.pth\): the tensor f\.weight is missing"):
        open_method(vgg.model_copy(update={"weights": swapped}))


def test_half_precision_weights_open_as_single(tmp_path: Path) -> None:
    halves = {name: tensor.half() for name, tensor in random_tensors(small_layout()).items()}
    save_file(halves, tmp_path / "half.safetensors")
    method = open_method(AdaattnSettings(weights=str(tmp_path / "half.safetensors")))
    assert render_one(method, IMAGE, represented(method, FIRST)).dtype == torch.float32


def test_a_single_token_gives_its_value_everywhere(adaattn: LocalMethod) -> None:
    """Equation 9: one token alone gives its value, everywhere, and no deviation."""
    network = network_of(adaattn)
    single = varied(adaattn, max_tokens=1, max_tokens_deep=1, epsilon=0)
    with torch.inference_mode():
        content = network.content_encoder(IMAGE)
        encoded, prepared = single.backbone.encode(IMAGE), single.backbone.prepare(FIRST[None])
        assert_close(encoded["normalised1"], normalise_channels(content[1]), **CLOSE)
        rendered = single.backbone.render(encoded, [prepared], torch.ones(1, 1, 1, 1))
        values = [prepared[f"values{level}"].reshape(1, -1, 1, 1) for level in network.levels]
        flat = [v.expand(-1, -1, *content[depth].shape[2:]) for depth, v in enumerate(values)]
        assert_close(rendered, network.decode(flat), atol=1e-3, rtol=0)
