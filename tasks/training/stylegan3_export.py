"""A trained StyleGAN3 as a file to ship: official keys, its configuration beside them, and a card with figures."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from tasks.encoders.stylegan3.generator import Generator
from tasks.records import RequestError
from tasks.training.export import read_average, read_history, write_card
from tasks.training.history import read_losses
from tasks.training.stylegan3 import FIGURES, configure
from tasks.training.stylegan3_settings import Stylegan3Settings

NAME = "stylegan3-art-small"


@dataclass(frozen=True)
class Stylegan3Run:
    """The averaged generator of a run, its weights rounded as they ship, and what it was trained by."""

    folder: Path
    settings: Stylegan3Settings
    generator: Generator


def open_generator_run(folder: Path) -> Stylegan3Run:
    """What a run has trained. Raises RequestError where it is no StyleGAN3's."""
    recipe = read_history(folder)["phases"][-1]["recipe"]
    if recipe.get("network") != "stylegan3":
        raise RequestError(f"{folder} is not a run of `train stylegan3`: name the folder of one.")
    known = {field.name for field in fields(Stylegan3Settings)}
    settings = Stylegan3Settings(**{name: value for name, value in recipe.items() if name in known})
    generator = Generator(configure(settings))
    generator.load_state_dict({name: tensor.float() for name, tensor in read_average(folder)[0].items()})
    for parameter in generator.parameters():
        parameter.data = parameter.data.half().float()
    return Stylegan3Run(folder, settings, generator.eval().requires_grad_(False))


def write_generator(run: Stylegan3Run, folder: Path) -> Path:
    """Write the weights in half precision, buffers whole: a filter's rounding would let through what it stops."""
    halved = {name for name, _ in run.generator.named_parameters()}
    state = run.generator.state_dict()
    tensors = {name: (value.half() if name in halved else value).cpu().contiguous() for name, value in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.safetensors"
    save_file(tensors, path, {"init_kwargs": json.dumps(configure(run.settings).init_kwargs())})
    return path


def write_generator_card(run: Stylegan3Run, weights: Path, folder: Path, about: dict[str, Any]) -> None:
    """Write the card, with how the figures changed during the run."""
    settings = run.settings
    network = f"tasks/encoders/stylegan3: configuration T, {settings.resolution} pixels, {settings.layers} layers"
    images = read_history(run.folder)["steps"] * settings.batch
    judged = read_losses(run.folder / FIGURES)
    write_card(run.folder, NAME, weights, folder, {"network": network, **about, "images": images, "judged": judged})
