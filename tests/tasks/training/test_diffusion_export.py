"""`atelier train diffusion` and its export: what is written opens in diffusers, and wrong requests are one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file
from typer.testing import CliRunner

from pipelines.cli import app, main
from pipelines.train_diffusion import export_diffusion, read_diffusion_training
from tasks.encoders.diffusion.backbone import open_diffusion
from tasks.records import RequestError
from tasks.training import diffusion_export, diffusion_figures
from tasks.training.diffusion_export import LARGEST, NAME, open_diffusion_run, write_diffusion
from tasks.training.diffusion_networks import build_autoencoder, build_denoiser
from tasks.training.diffusion_sampling import sample
from tasks.training.export import read_average
from tests.tasks.training.conftest import Drawn

JOBS = Path(__file__).parents[3] / "infra" / "jobs"
LOOP = "{steps: 2, warmup_steps: 1, log_steps: 1, sheet_steps: 100, device: cpu, precision: float32}"
RECIPE = f"""
recipe:
  size: 16
  autoencoder: {{channels: [8, 16], batch: 2}}
  denoiser: {{channels: [16, 16], heads: 2, batch: 2, photo_crops: 1, art_crops: 1, sampling_steps: 2}}
renders: {{views: 6, side: 40, texture_rows: 2}}
autoencoder_loop: {LOOP}
loop: {LOOP}
"""


@pytest.fixture
def material(drawn: Drawn, vgg: Path, tmp_path: Path) -> list[str]:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return words(photos=drawn.photos, art=drawn.art, perceptual=vgg, output=tmp_path / "run")


@pytest.fixture
def run(drawn: Drawn, material: list[str], tmp_path: Path) -> Path:
    """Of two steps a stage, the second in two calls."""
    folder = Path(shutil.copytree(drawn.folder, tmp_path / "run"))
    for steps, more in ((1, []), (2, ["--resume"])):
        done = invoke(["diffusion", *material, *words(recipe=tmp_path / "recipe.yaml", steps=steps), *more])
        assert done == f"{steps} steps; the run is in {folder}\n"
    return folder


def words(**options: object) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def invoke(line: list[str]) -> str:
    done = CliRunner().invoke(app, ["train", *line])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_model_is_trained_exported_and_opened_in_diffusers(
    run: Path, drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SAMPLES", 2), ("STYLES", 2), ("EACH", 1)):
        monkeypatch.setattr(diffusion_figures, name, value)
    (tmp_path / "about.yaml").write_text("licence: Apache-2.0")
    places = words(run=run, photos=drawn.photos, art=drawn.photos, output=tmp_path, about=tmp_path / "about.yaml")
    assert invoke(["export-diffusion", *places]).splitlines()[-1] == f"{tmp_path}/{NAME}"
    written = tmp_path / NAME
    assert not [path for path in written.rglob("*") if path.suffix in {".bin", ".pt", ".pkl", ".msgpack"}]
    card = json.loads((tmp_path / f"{NAME}.card.json").read_text())
    assert (card["licence"], card["training"]["steps"], card["autoencoder_training"]["steps"]) == ("Apache-2.0", 2, 2)
    assert card["figures"].keys() == {"judge", "reconstruction", "distances", "styles"}
    assert card["files"]["vae/diffusion_pytorch_model.safetensors"]["bytes"] > 0
    check_opened(run, written)


def check_opened(run: Path, written: Path) -> None:
    """In diffusers the model is the run's average, rounded, and draws what it drew before it was written.

    Methods open it, too.
    """
    assert open_diffusion(f"local-dir:{written}", torch.device("cpu")).stride == 4
    opened = StableDiffusionPipeline.from_pretrained(written, local_files_only=True, use_safetensors=True)
    opened.set_progress_bar_config(disable=True)
    assert {part.dtype for part in (opened.unet, opened.vae, opened.text_encoder)} == {torch.float32}
    for part, stage in (("unet", "denoiser"), ("vae", "autoencoder")):
        tensors, _ = read_average(run / stage)
        halves = load_file(written / part / "diffusion_pytorch_model.safetensors")
        assert all(torch.equal(value, tensors[name].half()) for name, value in halves.items())
    trained = open_diffusion_run(run)
    assert opened.vae.config.scaling_factor == trained.pipeline.vae.config.scaling_factor != 1
    captions, seeds = ["a photo of a goldfish", "an oil painting"], [0, 1]
    mine_N3SS, theirs_N3SS = (sample(pipeline, captions, seeds, 4.0, 2) for pipeline in (trained.pipeline, opened))
    assert mine_N3SS.shape == (2, 3, 16, 16)
    assert (mine_N3SS - theirs_N3SS).abs().max() < 1e-4


def test_figures_need_two_unseen_pictures_of_each_kind(run: Path, drawn: Drawn, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="two works of art at least"):
        export_diffusion(run, tmp_path / "exported", [str(drawn.photos)], [str(drawn.art)])
    assert not (tmp_path / "exported").exists()


def test_what_is_too_large_to_ship_is_refused(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffusion_export, "LARGEST", 1_000_000)
    with pytest.raises(RequestError, match="in half precision, over the 1 MB"):
        write_diffusion(open_diffusion_run(run), tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


def test_a_run_of_another_network_is_refused(run: Path) -> None:
    (run / "denoiser" / "checkpoint.safetensors").unlink()
    with pytest.raises(RequestError, match="holds no checkpoint"):
        open_diffusion_run(run)
    shutil.copy(run / "autoencoder" / "checkpoint.safetensors", run / "denoiser")
    with pytest.raises(RequestError, match="not a run of `train diffusion`"):
        open_diffusion_run(run)


@pytest.mark.parametrize(("name", "size"), [("small", 128), ("tiny", 64)])
def test_recipes_that_we_ship_are_read_and_what_they_make_can_be_shipped(name: str, size: int) -> None:
    training = read_diffusion_training([], [], [], JOBS / f"train-diffusion-{name}.yaml", steps=7)
    assert (training.recipe.size, training.loop.steps) == (size, 7)
    with torch.device("meta"):
        networks = [build_autoencoder(training.recipe), build_denoiser(training.recipe, 64)]
    count = sum(parameter.numel() for network in networks for parameter in network.parameters())
    assert 2 * (count + 3_320_000) < LARGEST  # the text tower's are 3.32 million


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("recipe: {size: 24}", "recipe: size: write a multiple of 16"),
        ("recipe: {autoencoder: {channels: [8, 20]}}", "channels: write multiples of 8"),
        ("recipe: {denoiser: {heads: 5}}", "denoiser.heads"),
        ("recipe: {denoiser: {plain_levels: 3}}", "denoiser.plain_levels"),
        ("recipe: {denoiser: {width: 8}}", "recipe.denoiser.width"),
        ("recipe: {width: 8}", "recipe.width does not exist"),
        ("renders: {side: 32}", "renders.side: write at least recipe.size, 64"),
        ("renders: {views: 200}", "renders.views"),
        ("loops: {}", "loops does not exist"),
    ],
)
def test_settings_that_do_not_do_are_one_sentence(
    recipe: str, message: str, material: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.yaml").write_text(recipe)
    assert exit_code([*material, *words(recipe=tmp_path / "recipe.yaml")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("missing", ["photos", "art", "perceptual"])
def test_what_is_missing_is_one_sentence_and_leaves_nothing(
    missing: str, material: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    material[material.index(f"--{missing}") + 1] = str(tmp_path / "nowhere")
    assert exit_code([*material, *words(recipe=tmp_path / "recipe.yaml")]) == 2
    assert str(tmp_path / "nowhere") in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def exit_code(line: list[str]) -> object:
    """Of the whole program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["atelier", "train", "diffusion", *line])
        with pytest.raises(SystemExit) as end:
            main()
    return end.value.code
