"""`atelier train`: one set of options for every stylizer, and what reaches the recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.train import read_training, train_stylizer_parallel
from tasks.records import RequestError
from tasks.training import figures
from tasks.training.networks import NETWORKS, build_network, check
from tests.tasks.training.conftest import random_student, write_pictures

JOBS = Path(__file__).parents[2] / "infra" / "jobs"
RECIPE = "recipe: {batch: 1, crop: 32}\nloop: {warmup_steps: 1, sheet_steps: 100, device: cpu, precision: float32}\n"


@pytest.fixture
def material(tmp_path: Path) -> dict[str, Path]:
    """Photographs in Parquet with two columns of pictures, a folder of art, a VGG and a recipe."""
    photos = write_pictures(tmp_path / "photos", count=3, seed=0)
    pictures = [{"bytes": path.read_bytes(), "path": path.name} for path in sorted(photos.iterdir())]
    pq.write_table(pa.table({"seen": pictures, "other": pictures[::-1]}), tmp_path / "photos.parquet")
    save_file(random_student(), tmp_path / "vgg.safetensors")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return {
        "photos": tmp_path / "photos.parquet",
        "art": write_pictures(tmp_path / "art", count=3, seed=1),
        "perceptual": tmp_path / "vgg.safetensors",
    }


def options(material: dict[str, Path], **more: object) -> list[str]:
    return [word for name, value in {**material, **more}.items() for word in (f"--{name}", str(value))]


def test_every_network_has_a_command_with_the_same_options() -> None:
    helps = {}
    for name in NETWORKS:
        done = CliRunner().invoke(app, ["train", name, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
        assert done.exit_code == 0, done.output
        helps[name] = done.stdout.partition("Options")[2]
    names = ("photos", "art", "perceptual", "output", "recipe", "steps", "resume", "image", "workers")
    assert all(f"--{option}" in helps["style_kernel"] for option in names)
    assert helps["adain"] == helps["adaattn"] == helps["style_kernel"]


def test_a_network_is_trained_resumed_and_exported_from_the_command_line(
    material: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "PAIRS", 1)
    monkeypatch.setattr(figures, "SIZE", 64)
    run, recipe = tmp_path / "run", tmp_path / "recipe.yaml"
    words = ["train", "style_kernel", *options(material, output=run, recipe=recipe, image="seen")]
    for steps, more in ((1, []), (2, ["--resume"])):
        done = CliRunner().invoke(app, [*words, "--steps", str(steps), *more])
        assert done.exit_code == 0, done.output
        assert done.stdout == f"{steps} steps; the run is in {run}\n"
    with safe_open(run / "checkpoint.safetensors", "pt") as file:
        assert file.metadata()["step"] == "2"
    (tmp_path / "about.yaml").write_text("licence: Apache-2.0")
    shipped = options(material, run=run, output=tmp_path / "shipped", image="seen", about=tmp_path / "about.yaml")
    done = CliRunner().invoke(app, ["train", "export", *shipped])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path}/shipped/style-kernel-small.safetensors\n"
    card = json.loads((tmp_path / "shipped" / "style-kernel-small.card.json").read_text())
    assert (card["licence"], card["training"]["steps"]) == ("Apache-2.0", 2)


def test_two_columns_of_pictures_need_a_choice(material: dict[str, Path], tmp_path: Path) -> None:
    words = options(material, output=tmp_path / "run", recipe=tmp_path / "recipe.yaml")
    done = CliRunner().invoke(app, ["train", "adain", *words])
    assert isinstance(done.exception, RequestError)
    assert "seen" in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_paths_travel_whole_and_those_of_a_recipe_are_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").mkdir()
    recipe = tmp_path / "jobs" / "recipe.yaml"
    recipe.write_text("recipe: {encoder: vgg, encoder_weights: ../vgg.pth, start: first.safetensors}")
    training = read_training(["photos", "s3://bucket/photos"], ["/art"], ["vgg.safetensors"], Path("jobs/recipe.yaml"))
    assert training.photos == [f"{tmp_path}/photos", "s3://bucket/photos"]
    assert training.art == ["/art"]
    assert training.perceptual == [f"{tmp_path}/vgg.safetensors"]
    assert training.recipe.start == f"{tmp_path}/jobs/first.safetensors"
    assert Path(str(training.recipe.encoder_weights)).resolve() == tmp_path / "vgg.pth"
    recipe.write_text("recipe: {start: embedded:adain-small}")
    assert read_training([], [], [], recipe, image="seen").recipe.start == "embedded:adain-small"
    recipe.write_text("recipe: {encoder: resnet}")
    with pytest.raises(RequestError, match=r"recipe\.encoder: .*'small' or 'vgg'"):
        read_training([], [], [], recipe)


@pytest.mark.parametrize(("name", "file"), [(name, name.replace("_", "-")) for name in NETWORKS])
def test_the_settings_of_what_we_ship_are_a_recipe(name: str, file: str) -> None:
    recipe = JOBS / f"train-{file}-small.yaml"
    training = read_training([], [], [], recipe)
    check(name, training.recipe)
    assert training.loop.steps == yaml.safe_load(recipe.read_text())["loop"]["steps"]


@pytest.mark.ray
@pytest.mark.timeout(600)  # processes that import torch, on a machine that may be busy
def test_two_workers_train_one_network(material: dict[str, Path], tmp_path: Path) -> None:
    places = [[str(place)] for place in material.values()]
    training = read_training(places[0], places[1], places[2], tmp_path / "recipe.yaml", 2, "seen")
    train_stylizer_parallel("adain", training, tmp_path / "two", workers=2)
    with safe_open(tmp_path / "two" / "checkpoint.safetensors", "pt") as file:
        assert file.metadata()["step"] == "2"
        phase = json.loads(file.metadata()["phases"])[0]
        found = file.get_tensor("network.decoder.to_image.weight")
    assert (phase["workers"], phase["recipe"]["network"]) == (2, "adain")
    torch.manual_seed(training.recipe.seed)
    first = build_network("adain", training.recipe).state_dict()["decoder.to_image.weight"]
    assert not first.equal(found)
