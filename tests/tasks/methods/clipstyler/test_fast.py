"""CLIPstyler's fast version: tuned decoders, their mixes, and the authors' files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.encoders.vgg import NormalisedVgg
from tasks.encoders.vgg_decoder import VggDecoder
from tasks.methods.base import Pairs, Reference, Representation, Style
from tasks.methods.clipstyler.fast import DECODER, FastMethod
from tasks.methods.clipstyler.settings import AdainWeights, FastSettings
from tasks.methods.clipstyler.tuned import read_networks
from tasks.methods.clipstyler.tuning import fit_crop
from tasks.records import RequestError
from tasks.samples.photographs import write_photographs
from tests.tasks.methods.conftest import adain_vgg, picture, render_one, stripes

CPU = torch.device("cpu")
FIRE = Reference(text="fire and flames")


def settings(**changed: object) -> FastSettings:
    return FastSettings(**{"mode": "fast", "steps": 4, "batch": 2, "views": 2, "crop_size": 64, **changed})


def represent(method: FastMethod, *references: Reference) -> Representation:
    (rep,) = method.represent([Style("a style", references)])
    return rep


@pytest.fixture
def image() -> Tensor:
    return picture(40, 56, seed=3)


def test_tuning_leads_to_the_style() -> None:
    method = FastMethod(settings(steps=25, views=4), CPU)
    tuner = method.tuner
    targets = tuner.targets_of(FIRE)
    first = method.backbone.first_decoder()
    tuned = method.backbone.open_decoder(read_networks(represent(method, FIRE), DECODER)[0])
    with torch.no_grad():
        before, after = (sum(float(tuner.loss(one, targets, step)) for step in range(3)) for one in (first, tuned))
    assert after < 0.8 * before


def test_a_decoder_depends_on_its_reference_alone() -> None:
    method = FastMethod(settings(), CPU)
    alone = represent(method, FIRE)
    others = (Reference(text="black ink"), Reference(0.5, image_CHW=stripes(48, 40)), FIRE)
    among = represent(FastMethod(settings(), CPU), *others)
    for name, tensor in read_networks(among, DECODER)[2].items():
        assert torch.equal(tensor, alone.tensors[f"decoder0.{name}"])
    assert not torch.equal(among.tensors["decoder1.ones.weight"], among.tensors["decoder0.ones.weight"])


def test_a_mix_of_styles_is_the_mix_of_their_decoders_weights(image: Tensor) -> None:
    method = FastMethod(settings(), CPU)
    ink = Reference(text="black ink")
    mixed = represent(method, Reference(0.25, text=FIRE.text), Reference(0.75, text=ink.text))
    parts = [read_networks(represent(method, reference), DECODER)[0] for reference in (FIRE, ink)]
    by_hand = {name: 0.25 * parts[0][name] + 0.75 * parts[1][name] for name in parts[0]}
    features = list(method.encode(image).tensors.values())
    decoded = method.backbone.decode(method.backbone.open_decoder(by_hand), features)[..., :40, :56].clamp(0, 1)
    assert_close(render_one(method, image, mixed), decoded, atol=1e-5, rtol=0)


def test_strength_goes_from_the_first_decoder_to_the_tuned_one(image: Tensor) -> None:
    rep = represent(FastMethod(settings(), CPU), FIRE)
    none, half, full = (render_one(FastMethod(settings(strength=s), CPU), image, rep) for s in (0.0, 0.5, 1.0))
    assert 0 < (half - none).abs().mean() < (full - none).abs().mean()
    assert (none - image).abs().mean() < 0.15  # the decoder as it was gives the content back


def test_the_authors_decoders_are_used_as_they_are(tmp_path: Path, image: Tensor) -> None:
    """`clip_decoder_iter_200.pth.tar` is a state dict of AdaIN's decoder: nothing is tuned, CLIP is not even opened."""
    weights = AdainWeights(**adain_vgg(tmp_path).weight_references())
    tensors = torch.load(tmp_path / "decoder.pth", weights_only=True)
    tuned = {name: 0.9 * tensor for name, tensor in tensors.items()}
    torch.save(tuned, tmp_path / "clip_decoder_iter_200.pth.tar")
    decoders = [{"text": "a pencil sketch", "weights": str(tmp_path / "clip_decoder_iter_200.pth.tar")}]
    method = FastMethod(settings(encoder="vgg", weights=weights, decoders=decoders), CPU)
    rep = represent(method, Reference(text="a pencil sketch"))
    assert "tuner" not in vars(method)
    encoder = NormalisedVgg.open(torch.load(tmp_path / "vgg_normalised.pth", weights_only=True), 4)
    whole = image[..., :40, :56]
    expected = VggDecoder(tuned)(encoder(whole)[-1]).clamp(0, 1)
    assert_close(render_one(method, whole, rep), expected, atol=1e-4, rtol=0)


def test_a_decoder_of_another_network_is_refused(tmp_path: Path) -> None:
    adain_vgg(tmp_path)
    decoders = [{"text": "ink", "weights": str(tmp_path / "decoder.pth")}]
    with pytest.raises(RequestError, match=r"that encoder: small tunes, as .*decoder\.pth for 'ink' has to be"):
        FastMethod(settings(decoders=decoders), CPU)


def test_photographs_of_a_folder_are_those_tuned_on(tmp_path: Path) -> None:
    write_photographs(tmp_path, 2)
    method = FastMethod(settings(photographs=str(tmp_path)), CPU)
    assert len(method.tuner.photographs) == 2
    own, neutral = (represent(m, FIRE).tensors["decoder0.ones.weight"] for m in (method, FastMethod(settings(), CPU)))
    assert not torch.equal(own, neutral)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(RequestError, match=r"broken\.jpg is no usable picture"):
        _ = FastMethod(settings(photographs=str(tmp_path)), CPU).tuner


@pytest.mark.parametrize("size", [(20, 300), (400, 500), (64, 64)], ids=str)
def test_a_crop_fits_into_every_photograph(size: tuple[int, int]) -> None:
    pixels_HWC = (picture(*size, seed=1)[0].permute(1, 2, 0) * 255).byte().numpy()
    assert 64 <= min(fit_crop(pixels_HWC, 64).shape[1:]) <= 128


def test_half_precision_comes_to_about_the_same(image: Tensor) -> None:
    whole, half = (
        render_one(method, image, represent(method, FIRE))
        for method in (FastMethod(settings(precision=p), CPU) for p in ("float32", "bfloat16"))
    )
    assert 0 < (whole - half).abs().mean() < 0.02


def test_pairs_of_one_style_share_a_decoder(image: Tensor) -> None:
    method = FastMethod(settings(), CPU)
    reps = [represent(method, FIRE), represent(method, Reference(text="black ink"))]
    content = method.encode(torch.cat([image, image.flip(-1)]))
    together = method.render(content, reps, Pairs([0, 1, 0], [1, 0, 0], [0, 0, 0]))
    assert_close(together[2:], render_one(method, image, reps[0]), atol=1e-5, rtol=0)
    assert_close(together[:1], render_one(method, image, reps[1]), atol=1e-5, rtol=0)
