"""Train the networks that we ship: the compact AdaIN network, from folders of photographs and of art."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from tasks.encoders.vgg import NormalisedVgg, StudentVgg, open_perceptual
from tasks.methods.adain.small import build_small
from tasks.records import RequestError
from tasks.training.adain import AdainRecipe, AdainSettings, Perceptual
from tasks.training.data import load_pictures
from tasks.training.export import export, read_average
from tasks.training.figures import measure
from tasks.training.loop import LoopSettings, TrainingState, choose_device, train
from tasks.weights.loading import load_tensors

CONTENT_LEVELS = 4  # the content loss reads relu3_1 and relu4_1

Vgg = NormalisedVgg | StudentVgg


@dataclass(frozen=True)
class AdainTraining:
    """What to train the compact AdaIN network on, and how.

    `perceptual` names one VGG that reaches relu4_1, or two: an exact one for the levels it has and a cheap,
    deep one for the rest.
    """

    photos: Sequence[str | Path]
    art: Sequence[str | Path]
    perceptual: Sequence[str | Path]
    recipe: AdainSettings = field(default_factory=AdainSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)


def train_adain(training: AdainTraining, output: str | Path, resume: bool = False) -> TrainingState:
    """Train in the folder `output`: checkpoint, losses.jsonl and sheets; goes on from there with `resume`."""
    recipe = AdainRecipe(
        load_pictures(training.photos),
        load_pictures(training.art),
        open_networks(training.perceptual),
        training.recipe,
        choose_device(training.loop.device),
    )
    return train(recipe, training.loop, Path(output), resume)


def export_adain(
    run: str | Path, folder: str | Path, unseen: AdainTraining, about: dict[str, Any] | None = None
) -> Path:
    """Write `adain-small` and its card to `folder`, with figures on the pictures and networks of `unseen`."""
    tensors, _ = read_average(Path(run))
    network = build_small({name: tensor.half() for name, tensor in tensors.items()})
    perceptual = open_networks(unseen.perceptual)

    def style_features(images_NCHW: Tensor) -> list[Tensor]:
        return perceptual.style_and_content(images_NCHW)[0]

    figures = measure(network, load_pictures(unseen.photos), load_pictures(unseen.art), style_features)
    return export(Path(run), "adain-small", Path(folder), {**(about or {}), "figures": figures})


def read_training(
    photos: Sequence[Path], art: Sequence[Path], perceptual: Sequence[Path], recipe: Path | None, steps: int | None
) -> AdainTraining:
    """The training that a command line asks for; `recipe` is YAML with `recipe` and `loop` settings by name.

    Raises RequestError naming the setting that does not exist or is of the wrong type.
    """
    content = yaml.safe_load(recipe.read_text()) if recipe else {}
    try:
        settings = TypeAdapter(dict[Literal["recipe", "loop"], dict[str, Any]]).validate_python(content or {})
        loop = TypeAdapter(LoopSettings).validate_python(settings.get("loop", {}))
        chosen = TypeAdapter(AdainSettings).validate_python(settings.get("recipe", {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RequestError(f"{recipe}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error
    return AdainTraining(photos, art, perceptual, chosen, replace(loop, steps=steps) if steps else loop)


def open_networks(paths: Sequence[str | Path]) -> Perceptual:
    """The perceptual network of one or two files of VGG weights. RequestError where none is deep enough."""
    try:
        networks = sorted((open_perceptual(load_tensors(Path(path))) for path in paths), key=count_levels)
    except ValueError as error:
        raise RequestError(f"perceptual weights: {error}") from error
    if len(networks) not in (1, 2) or count_levels(networks[-1]) < CONTENT_LEVELS:
        raise RequestError("perceptual weights: name one VGG encoder that reaches relu4_1, or two of which one does")
    fine = networks[0] if len(networks) == 2 else None
    return Perceptual(fine, networks[-1], count_levels(fine) if fine else 0)


def count_levels(network: Vgg) -> int:
    return len(network.ends) if isinstance(network, NormalisedVgg) else len(network.stages)
