"""From a run to what is shipped: files that the method opens, whose pictures are those of the average."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipelines.train import export_stylizer, train_stylizer
from tasks.encoders.vgg import NORMALISED_ENDS, normalised_layout
from tasks.methods.adaattn.vgg import SkipDecoder, decoder_layout
from tasks.methods.adaattn.vgg_training import PlainSkipDecoder, TrainableVggAdaAttN
from tasks.methods.base import Method, Pairs, Reference, Style
from tasks.methods.settings import open_method
from tasks.records import RequestError
from tasks.training import figures
from tasks.training.export import read_average
from tasks.training.loop import LoopSettings
from tasks.training.networks import build_stylizer, stylizer_of, trained_files
from tasks.training.stylizer import StylizerTraining
from tasks.training.stylizer_export import open_run, settings_of, write_weights
from tasks.training.stylizer_settings import StylizerSettings
from tests.tasks.methods.conftest import random_tensors

LOOP = LoopSettings(
    steps=2, learning_rate=1e-5, warmup_steps=1, log_steps=1, sheet_steps=100, device="cpu", precision="float32"
)
RECIPE = StylizerSettings(batch=2, crop=32)
NETWORKS = [("adain", "adain-small"), ("adaattn", "adaattn-small"), ("style_kernel", "style-kernel-small")]


@pytest.fixture
def training(photos: Path, art: Path, vgg: Path, monkeypatch: pytest.MonkeyPatch) -> StylizerTraining:
    monkeypatch.setattr(figures, "PAIRS", 2)
    monkeypatch.setattr(figures, "SIZE", 64)
    return StylizerTraining([photos], [art], [vgg], RECIPE, LOOP)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the layout of `vgg_normalised.pth`, as deep as relu5_1."""
    layout = {
        name: shape for name, shape in normalised_layout().items() if int(name.split(".")[0]) < NORMALISED_ENDS[4]
    }
    path = tmp_path_factory.mktemp("encoder") / "vgg_normalised.pth"
    torch.save(random_tensors(layout), path)
    return path


def render(method: Method, content_13HW: Tensor, style_13HW: Tensor) -> Tensor:
    reps = method.represent([Style("some style", (Reference(image_CHW=style_13HW[0]),))])
    return method.render(method.encode(content_13HW), reps, Pairs([0], [0], [0]))


@pytest.mark.parametrize(("name", "file"), NETWORKS)
def test_a_run_is_exported_under_its_network_s_name_and_opens_as_a_method(
    name: str, file: str, training: StylizerTraining, tmp_path: Path
) -> None:
    run, folder, about = tmp_path / "run", tmp_path / "embedded", tmp_path / "about.yaml"
    about.write_text("{data: stripes, licence: Apache-2.0}")
    state = train_stylizer(name, training, run)
    [path] = export_stylizer(run, folder, training, about)
    assert path == folder / f"{file}.safetensors"
    assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float16}
    images = torch.rand(2, 1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    trained = open_run(run)
    method = open_method(settings_of(trained, {"weights": path}))
    with torch.inference_mode():
        average = stylizer_of(state.average)(images[0], images[1]).clamp(0, 1)
        assert float(average.std()) > 0.01
        difference = (trained.network(images[0], images[1]).clamp(0, 1) - average).abs().max()
        assert 0 < float(difference) < 5e-3
        assert float((render(method, images[0], images[1]) - average).abs().max()) < 5e-3
    card = json.loads((folder / f"{file}.card.json").read_text())
    assert (card["name"], card["data"], card["licence"]) == (file, "stripes", "Apache-2.0")
    assert card["training"]["phases"][0]["recipe"]["network"] == name
    assert card["training"]["steps"] == 2
    assert card["bytes"] == path.stat().st_size
    assert card["parameters"] == sum(parameter.numel() for parameter in trained.network.parameters())
    assert card["figures"]["identity"]["structure"] == pytest.approx(1)
    assert card["figures"]["stylized"]["structure"] < 1
    assert card["figures"]["renders_per_core_second"] > 0


def test_of_adversaries_the_stylizer_alone_is_shipped(training: StylizerTraining, tmp_path: Path) -> None:
    changed = replace(RECIPE, crop=64, adversarial_weight=1.0, discriminator_width=4)
    state = train_stylizer("adain", replace(training, recipe=changed), tmp_path / "run")
    [path] = export_stylizer(tmp_path / "run", tmp_path, training)
    expected = {name: tensor.half() for name, tensor in stylizer_of(state.average).state_dict().items()}
    found = load_file(path)
    assert found.keys() == expected.keys() == build_stylizer("adain").state_dict().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("style_kernel", {"network": "style-kernel-vgg"}),
        ("adaattn", {field: f"adaattn-vgg-{field}" for field in ("attention", "transformer", "decoder")}),
    ],
)
def test_what_is_trained_on_vgg_opens_as_the_method_with_that_encoder(
    name: str, files: dict[str, str], encoder: Path, training: StylizerTraining, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, batch=1, encoder="vgg", encoder_weights=str(encoder))
    state = train_stylizer(name, replace(training, recipe=recipe), tmp_path / "run")
    given = torch.load(encoder, weights_only=True)
    inner = next(
        key.removesuffix("0.weight") for key in state.average.state_dict() if key.endswith("by_index.0.weight")
    )
    for key, value in state.network.state_dict().items():
        if key.startswith(inner):
            assert torch.equal(value, given[key.removeprefix(inner)]), key
    trained = open_run(tmp_path / "run")
    paths = write_weights(trained, tmp_path)
    assert {field: path.stem for field, path in paths.items()} == files
    torch.manual_seed(0)
    first = trained_files(build_stylizer(name, "vgg"))
    assert all(
        not torch.equal(load_file(paths[field])[key], value.half())
        for field, own in first.items()
        for key, value in own.items()
        if key.endswith("weight")
    )
    images = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    method = open_method(settings_of(trained, paths))
    with torch.inference_mode():
        average = stylizer_of(state.average)(images[0], images[1]).clamp(0, 1)
        assert float(average.std()) > 0.01
        assert float((render(method, images[0], images[1]) - average).abs().max()) < 2e-2


def test_the_decoder_that_is_trained_is_the_published_one_unfolded() -> None:
    torch.manual_seed(0)
    plain = PlainSkipDecoder()
    assert {name: list(tensor.shape) for name, tensor in plain.state_dict().items()} == decoder_layout()
    deep, third = torch.randn(1, 512, 4, 6), torch.randn(1, 256, 8, 12)
    with torch.inference_mode():
        assert torch.allclose(plain(deep, third), SkipDecoder(plain.state_dict())(deep, third), atol=1e-4)


def test_a_flat_style_gives_gradients_that_are_numbers() -> None:
    torch.manual_seed(0)
    network = TrainableVggAdaAttN()
    network(torch.rand(1, 3, 32, 32), torch.full((1, 3, 32, 32), 0.5)).square().mean().backward()
    gradients = [each.grad for each in network.parameters() if each.requires_grad]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


def test_a_run_of_before_there_were_other_networks_is_adain_s(training: StylizerTraining, tmp_path: Path) -> None:
    state = train_stylizer("adain", training, tmp_path)
    known = ("batch", "crop", "seed")
    state.phases = [{**phase, "recipe": {name: phase["recipe"][name] for name in known}} for phase in state.phases]
    state.save(tmp_path / "checkpoint.safetensors")
    assert list(write_weights(open_run(tmp_path), tmp_path).values()) == [tmp_path / "adain-small.safetensors"]


def test_a_run_of_another_kind_is_not_exported(training: StylizerTraining, tmp_path: Path) -> None:
    state = train_stylizer("adain", training, tmp_path)
    state.phases = [{**phase, "recipe": {"network": "clip-small"}} for phase in state.phases]
    state.save(tmp_path / "checkpoint.safetensors")
    with pytest.raises(RequestError, match="not a run of a stylizer"):
        open_run(tmp_path)
    assert read_average(tmp_path)[1]["steps"] == 2


def test_tensors_of_an_export_are_names_of_the_network_itself() -> None:
    for name, _ in NETWORKS:
        assert "content_encoder.ones.weight" in trained_files(build_stylizer(name))["weights"]
