"""Which folders are diffusion models that can be had, and what is said of the others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from tasks.encoders.diffusion.backbone import fit_pixels, open_diffusion
from tasks.encoders.diffusion.models import find_diffusion, resolve_folder
from tasks.records import RequestError
from tests.tasks.encoders.diffusion.small_diffusion import save_small_diffusion

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_diffusion(tmp_path_factory.mktemp("diffusion") / "model")


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "copy"))


def find(folder: Path) -> str:
    return find_diffusion(f"local-dir:{folder}").digest()


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_model_is_opened_once(model: Path) -> None:
    opened = open_diffusion(f"local-dir:{model}", CPU)
    assert open_diffusion(f"local-dir:{model}", CPU) is opened
    assert open_diffusion(f"local-dir:{model}", CPU, "bfloat16") is not opened
    assert (opened.width, opened.scale, opened.stride) == (32, 8, 16)
    assert not any(parameter.requires_grad for parameter in opened.unet.parameters())


def test_pictures_at_once_go_with_memory() -> None:
    assert fit_pixels(80 * 2**30, 4096) == 40 * 512 * 512
    assert fit_pixels(2**20, 4096) == 128
    assert fit_pixels(0, 4096) == 1


def test_the_digest_is_of_what_changes_pictures(model: Path, copy: Path) -> None:
    before = find(model)
    assert find(copy) == before
    change(copy / "model_index.json", _note="another")
    assert find(copy) == before
    change(copy / "scheduler" / "scheduler_config.json", beta_end=0.02)
    assert find(copy) != before


def test_its_name_says_no_path(model: Path) -> None:
    found = find_diffusion(f"local-dir:{model}")
    assert found.name == f"local-dir:model@{found.digest()[:12]}"


def test_half_precision_files_are_taken_where_they_are_all_there_is(copy: Path) -> None:
    for part in ("unet", "vae"):
        file = copy / part / "diffusion_pytorch_model.safetensors"
        file.rename(file.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert open_diffusion(f"local-dir:{copy}", CPU).dtype == torch.float32


def test_relative_paths_are_resolved_and_names_are_not() -> None:
    assert resolve_folder("local-dir:sd", lambda path: f"/jobs/{path}") == "local-dir:/jobs/sd"
    assert resolve_folder("hf:a/b@main", lambda path: f"/jobs/{path}") == "hf:a/b@main"


class TestRefused:
    def test_pickles(self, copy: Path) -> None:
        file = copy / "unet" / "diffusion_pytorch_model.safetensors"
        file.rename(file.with_suffix(".bin"))
        with pytest.raises(RequestError, match="safetensors; pickles are never read"):
            find(copy)

    def test_two_text_encoders(self, copy: Path) -> None:
        (copy / "text_encoder_2").mkdir()
        with pytest.raises(RequestError, match="Stable Diffusion 1 family"):
            find(copy)

    def test_another_network(self, copy: Path) -> None:
        change(copy / "vae" / "config.json", _class_name="AutoencoderTiny")
        with pytest.raises(RequestError, match="is no AutoencoderKL"):
            find(copy)

    def test_another_prediction(self, copy: Path) -> None:
        change(copy / "scheduler" / "scheduler_config.json", prediction_type="v_prediction")
        with pytest.raises(RequestError, match="predicts v_prediction"):
            find(copy)

    def test_weights_of_another_size(self, copy: Path) -> None:
        change(copy / "unet" / "config.json", block_out_channels=[64, 64])
        with pytest.raises(RequestError, match="cannot be opened as a diffusion model"):
            open_diffusion(f"local-dir:{copy}", CPU)

    def test_a_file_cut_short(self, copy: Path) -> None:
        file = copy / "unet" / "diffusion_pytorch_model.safetensors"
        file.write_bytes(file.read_bytes()[:1000])
        with pytest.raises(RequestError, match="cannot be opened as a diffusion model"):
            open_diffusion(f"local-dir:{copy}", CPU)

    @pytest.mark.parametrize(
        ("reference", "says"),
        [
            ("local-dir:/nowhere/at/all", "There is no folder"),
            ("embedded:diffusion-huge", "no diffusion model that can be had"),
            ("runwayml/stable-diffusion-v1-5", "write local-dir:FOLDER"),
            ("hf:CompVis/stable-diffusion-v1-4", "a revision makes a run repeatable"),
        ],
    )
    def test_references_that_name_nothing(self, reference: str, says: str) -> None:
        with pytest.raises(RequestError, match=says):
            find_diffusion(reference)


def test_a_snapshot_of_the_hub_that_is_cached_needs_no_network(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = "133a221b8aa7292a167afc5127cb63fb5005638b"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    reference = f"hf:someone/diffusion@{revision}"
    with pytest.raises(RequestError, match="neither cached nor to be fetched"):
        find_diffusion(reference)
    shutil.copytree(model, tmp_path / "models--someone--diffusion" / "snapshots" / revision)
    found = find_diffusion(reference)
    assert (found.name, found.digest()) == (reference, find_diffusion(f"local-dir:{model}").digest())
