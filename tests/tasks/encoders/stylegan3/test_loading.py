"""Trained generators are read from safetensors, shared, and refused in a sentence where they are something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from tasks.encoders.stylegan3.architecture import GeneratorConfig
from tasks.encoders.stylegan3.generator import Generator
from tasks.encoders.stylegan3.loading import open_generator, read_config
from tasks.records import RequestError
from tests.tasks.encoders.stylegan3.small_generator import SMALL, SMALL_R, make_generator, make_styles


def save(generator: Generator, path: Path, init_kwargs: str | None = None, without: str = "") -> str:
    tensors = {name: tensor.contiguous() for name, tensor in generator.state_dict().items() if name != without}
    save_file(tensors, path, None if init_kwargs is None else {"init_kwargs": init_kwargs})
    return str(path)


@pytest.mark.parametrize("config", [SMALL, SMALL_R])
@pytest.mark.parametrize("stated", [True, False])
def test_a_generator_comes_back_with_its_settings(config: GeneratorConfig, stated: bool, tmp_path: Path) -> None:
    saved = make_generator(config)
    arguments = json.dumps(config.init_kwargs()) if stated else None
    opened = open_generator(save(saved, tmp_path / "generator.safetensors", arguments), "cpu")
    assert opened.config == config
    assert not opened.training
    assert not any(parameter.requires_grad for parameter in opened.parameters())
    strides = [parameter.stride() for parameter in saved.parameters()]
    assert [parameter.stride() for parameter in opened.parameters()] == strides
    ws_NLW = make_styles(saved)
    with torch.no_grad():
        assert_close(opened.synthesize(ws_NLW), saved.synthesize(ws_NLW))


def test_one_file_is_one_network(tmp_path: Path) -> None:
    reference = save(make_generator(seed=2), tmp_path / "generator.safetensors")
    assert open_generator(reference, "cpu") is open_generator(reference, "cpu")


def test_settings_stated_are_read_without_tensors(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"nothing": torch.zeros(1)}, path, {"init_kwargs": json.dumps({"img_resolution": 256})})
    assert read_config(path) == GeneratorConfig(resolution=256)
    with pytest.raises(RequestError, match=r"the tensor .* is missing"):
        open_generator(str(path), "cpu")


@pytest.mark.parametrize("missing", ["mapping.fc0.weight", "mapping.w_avg", "synthesis.L3_52_12.bias"])
def test_a_tensor_missing_is_said(missing: str, tmp_path: Path) -> None:
    path = save(make_generator(), tmp_path / "generator.safetensors", without=missing)
    with pytest.raises(RequestError, match=r"These are not the weights of a StyleGAN3 generator: .* missing"):
        open_generator(path, "cpu")


def test_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"conv1.weight": torch.zeros(1, 1, 3, 3)}, path)
    with pytest.raises(RequestError, match="not the weights of a StyleGAN3 generator"):
        open_generator(str(path), "cpu")


@pytest.mark.parametrize("arguments", ["{", "[1]", '{"c_dim": 3}'])
def test_arguments_that_are_no_generators_are_refused(arguments: str, tmp_path: Path) -> None:
    path = save(make_generator(), tmp_path / "generator.safetensors", arguments)
    with pytest.raises(RequestError):
        open_generator(path, "cpu")


def test_a_snapshot_is_to_be_imported_first(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    torch.save({"G_ema": torch.zeros(1)}, path)
    with pytest.raises(RequestError, match="models import"):
        open_generator(str(path), "cpu")
