"""StyleKernel behind the verbs: several pictures, masks, strength, tokens, memory, and weights of its own only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor
from torch.testing import assert_close

from tasks.methods.base import Pairs, Reference, Style
from tasks.methods.local import LocalMethod
from tasks.methods.style_kernel.backbones import StyleKernelBackbone, read_style, small_layout
from tasks.methods.style_kernel.method import open_method
from tasks.methods.style_kernel.settings import SMALL_WEIGHTS, StyleKernelSettings
from tasks.records import RequestError
from tests.tasks.methods.conftest import (
    adain_small,
    picture,
    quiet_heads,
    random_tensors,
    render_one,
    stripes,
    style,
    style_kernel_vgg,
)

VGG = {"encoder": "models/vgg_normalised.pth", "network": "runs/kernels.safetensors"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StyleKernelSettings:
    """Random weights, whose parts all count: what a test turns off must show."""
    path = tmp_path_factory.mktemp("weights") / "kernels.safetensors"
    tensors = quiet_heads(random_tensors(small_layout()))
    tensors["decoder.to_image.weight"] *= 0.1
    save_file(tensors, path)
    return StyleKernelSettings(weights=str(path))


@pytest.fixture(scope="module")
def method(settings: StyleKernelSettings) -> LocalMethod:
    return open_method(settings)


def varied(method: LocalMethod, **changes: object) -> LocalMethod:
    settings = method.settings.model_copy(update=changes)
    assert isinstance(settings, StyleKernelSettings)
    return open_method(settings)


def backbone_of(method: LocalMethod) -> StyleKernelBackbone:
    assert isinstance(method.backbone, StyleKernelBackbone)
    return method.backbone


def render_in_regions(method: LocalMethod, image: Tensor, first: Tensor, second: Tensor, share_HW: Tensor) -> Tensor:
    """The first picture where its share says, the second elsewhere."""
    both = Style("both", (Reference(image_CHW=first), Reference(image_CHW=second)), composite=True)
    pairs = Pairs([0], [0], [0], [torch.stack([share_HW, 1 - share_HW])])
    return method.render(method.encode(image), method.represent([both]), pairs)


@pytest.mark.parametrize("off", [{"gated": False}, {"shuffled": False}, {"kernel": 3}, {"kernel": 1}], ids=str)
def test_parts_can_be_turned_off(method: LocalMethod, off: dict[str, object]) -> None:
    image, (rep,) = picture(32, 40, seed=4), method.represent([style(stripes(56, 40))])
    changed = varied(method, **off)
    assert changed.backbone.network is method.backbone.network  # type: ignore[attr-defined]
    features = [of_features(one, image, rep) for one in (method, changed)]
    assert all((whole - less).abs().mean() > 1e-4 * whole.std() for whole, less in zip(*features, strict=True))


def of_features(method: LocalMethod, image: Tensor, rep: object) -> list[Tensor]:
    """What the decoder takes at the depths that go through kernels."""
    seen: list[Tensor] = []
    network = backbone_of(method).network
    handle = network.decoder.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs[0]))
    render_one(method, image, rep)  # type: ignore[arg-type]
    handle.remove()
    return [seen[network.decoded.index(depth)].clone() for depth in network.convolved]


def test_kernels_and_statistics_of_pictures_are_mixed_by_weight(method: LocalMethod) -> None:
    backbone = backbone_of(method)
    first, second = (backbone.prepare(image[None]) for image in (picture(48, 64, seed=1)[0], stripes(56, 40)))
    content = backbone.network.encode(picture(32, 48, seed=4))
    weights = torch.tensor([0.3, 0.7])[None, :, None, None]
    one, other, both = (
        backbone.mix_kernels(content, [read_style(p) for p in pictures], w)
        for pictures, w in (([first], weights), ([second], weights), ([first, second], weights))
    )
    for depth, layers in enumerate(both):
        for layer in range(len(layers)):
            for name in ("vertical", "horizontal", "bias"):
                parts = [getattr(kernels[depth][layer], name) for kernels in (one, other, both)]
                assert_close(parts[2], 0.3 * parts[0] + 0.7 * parts[1], atol=1e-5, rtol=1e-5)
    mixed = backbone.mix_statistics(content, [read_style(first), read_style(second)], weights)
    for depth, (mean, deviation) in enumerate(mixed):
        assert_close(mean, 0.3 * first[f"mean{depth}"] + 0.7 * second[f"mean{depth}"])
        assert_close(deviation, 0.3 * first[f"deviation{depth}"] + 0.7 * second[f"deviation{depth}"])


def test_a_mask_gives_each_side_its_own_style(method: LocalMethod) -> None:
    """Far from the border each half is what its picture alone would make of it."""
    image, first, second = picture(64, 256, seed=4), picture(48, 64, seed=1)[0], stripes(56, 40)
    left = (torch.arange(256) < 128).float().expand(64, 256)
    both = render_in_regions(method, image, first, second, left)
    at_left, at_right = (render_one(method, image, rep) for rep in method.represent([style(first), style(second)]))
    assert_close(both[..., :64], at_left[..., :64], atol=1e-4, rtol=0)
    assert_close(both[..., 192:], at_right[..., 192:], atol=1e-4, rtol=0)
    assert (at_left - at_right).abs().mean() > 0.01


def test_a_soft_mask_goes_gradually_from_one_picture_to_the_other(method: LocalMethod) -> None:
    image, first, second = picture(32, 256, seed=4), picture(48, 64, seed=1)[0], stripes(56, 40)
    ramp = torch.linspace(0, 1, 256).expand(32, 256)
    mixed = render_in_regions(method, image, first, second, 1 - ramp)
    start, end = (render_one(method, image, rep) for rep in method.represent([style(first), style(second)]))
    at_start, at_end = (((mixed - part).abs().mean((0, 1, 2))) for part in (start, end))
    assert at_start[:64].mean() < at_end[:64].mean()
    assert at_end[-64:].mean() < at_start[-64:].mean()


def test_strength_goes_from_the_reconstructed_content_to_the_style(method: LocalMethod) -> None:
    image = picture(32, 48, seed=4)
    (rep,) = method.represent([style(stripes(56, 40))])
    network = backbone_of(method).network
    with torch.inference_mode():
        own = network.reconstruct(image).clamp(0, 1)
    assert_close(render_one(varied(method, strength=0.0), image, rep), own, atol=1e-4, rtol=0)
    none, half, full = (of_features(varied(method, strength=s), image, rep) for s in (0.0, 0.5, 1.0))
    for start, between, end in zip(none, half, full, strict=True):
        assert_close(between, (start + end) / 2, atol=1e-5, rtol=1e-4)


def test_a_large_style_keeps_a_seeded_subset_of_its_tokens(method: LocalMethod) -> None:
    image = picture(64, 80, seed=1)
    whole = method.backbone.prepare(image)
    few, again, other = (
        varied(method, max_tokens=16, token_seed=seed).backbone.prepare(image) for seed in (6666, 6666, 1)
    )
    assert whole["keys"].shape[1] == 80
    assert few["keys"].shape[1] == few["values"].shape[1] == 16
    assert torch.equal(few["keys"], again["keys"])
    assert not torch.equal(few["keys"], other["keys"])
    for key, value in zip(few["keys"][0], few["values"][0], strict=True):
        (place,) = (whole["keys"][0] == key).all(1).nonzero()[:, 0]
        assert torch.equal(whole["values"][0, place], value)
    assert torch.equal(whole["mean0"], few["mean0"])


def test_attention_in_little_memory_gives_the_same_picture(method: LocalMethod) -> None:
    image, (rep,) = picture(160, 200, seed=4), method.represent([style(picture(320, 320, seed=1)[0])])
    tight = varied(method, attention_megabytes=1)  # a few hundred of 500 queries over 1,600 tokens at once
    assert_close(render_one(tight, image, rep), render_one(method, image, rep), atol=1e-4, rtol=0)


def test_rows_and_styles_in_one_call_are_those_of_many(method: LocalMethod) -> None:
    images = picture(32, 48, seed=4, count=2)
    reps = method.represent([style(stripes(56, 40)), style(picture(48, 64, seed=1)[0], stripes(24, 24))])
    together = method.render(method.encode(images), reps, Pairs([0, 1, 0, 1], [0, 0, 1, 1], [0] * 4))
    for place, (row, index) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        alone = render_one(method, images[row : row + 1], reps[index])
        assert_close(together[place : place + 1], alone, atol=1e-4, rtol=0)


def test_foreign_weights_are_refused_by_name(tmp_path: Path) -> None:
    adain = adain_small(tmp_path)
    with pytest.raises(RequestError, match=r"not the weights of style_kernel's small network: .* is missing"):
        open_method(StyleKernelSettings(weights=adain.weight_references()["weights"]))
    vgg = style_kernel_vgg(tmp_path)
    swapped = {"encoder": vgg.weights.network, "network": vgg.weights.network}  # type: ignore[union-attr]
    with pytest.raises(RequestError, match=r"not the weights of the normalised VGG-19"):
        open_method(StyleKernelSettings(encoder="vgg", weights=swapped))


def test_weights_of_another_architecture_are_refused(settings: StyleKernelSettings) -> None:
    other = settings.model_copy(update={"architecture": settings.sizes().model_copy(update={"taps": 3})})
    with pytest.raises(RequestError, match=r"heads\.0\.last\.weight has shape"):
        open_method(other)


def test_vgg_without_weights_says_that_they_are_to_be_trained() -> None:
    with pytest.raises(ValidationError, match=r"anybody published.*atelier train style_kernel.*encoder: vgg"):
        StyleKernelSettings(encoder="vgg")
    with pytest.raises(ValidationError, match="one weights reference"):
        StyleKernelSettings(weights=VGG)


@pytest.mark.parametrize("kernel", [2, 7])
def test_a_kernel_is_odd_and_no_larger_than_what_was_trained(kernel: int) -> None:
    with pytest.raises(ValidationError, match="an odd number up to 5"):
        StyleKernelSettings(kernel=kernel)
    assert StyleKernelSettings(kernel=5).sizes().taps == 5


def test_an_even_number_of_taps_is_no_architecture() -> None:
    with pytest.raises(ValidationError, match="no central one"):
        StyleKernelSettings(architecture={"taps": 4})


def test_keys_hold_what_each_verb_reads() -> None:
    settings = StyleKernelSettings(gated=False, attention_megabytes=1, cache_megabytes=0)
    assert settings.represent_settings() == {"style_size": 512}
    assert settings.encode_settings() == {"encoder": "small", "architecture": None}
    assert settings.pixel_settings() == StyleKernelSettings(gated=False).pixel_settings()
    assert settings.pixel_settings() != StyleKernelSettings().pixel_settings()


def test_only_paths_among_weights_are_resolved() -> None:
    settings = StyleKernelSettings(encoder="vgg", weights=VGG).resolve_paths(lambda path: f"/jobs/{path}")
    assert settings.weight_references() == {name: f"/jobs/{path}" for name, path in VGG.items()}
    assert StyleKernelSettings().resolve_paths(str.upper).weight_references() == {"weights": SMALL_WEIGHTS}


def test_settings_survive_a_plan() -> None:
    settings = StyleKernelSettings(encoder="vgg", weights=VGG, architecture={"taps": 5}, kernel=3)
    assert StyleKernelSettings.model_validate_json(settings.model_dump_json()) == settings
    assert hash(settings) == hash(settings.model_copy())
