"""Train the networks that we ship, from folders of photographs and of art: the compact AdaIN network, small CLIPs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from tasks.encoders.clip import open_clip_model
from tasks.encoders.vgg import NormalisedVgg, StudentVgg, open_perceptual
from tasks.methods.adain.small import build_small
from tasks.records import RequestError
from tasks.training.clip import ClipRecipe, ClipSettings, save_clip
from tasks.training.clip_figures import measure_clip
from tasks.training.data import load_pictures
from tasks.training.export import export, read_average, write_card
from tasks.training.figures import measure
from tasks.training.loop import LoopSettings, TrainingState, choose_device, train
from tasks.training.renderings.catalogue import RENDERINGS
from tasks.training.renders import RenderSettings, open_renders
from tasks.training.stylizer import Perceptual, StylizerRecipe, StylizerSettings
from tasks.weights.loading import load_tensors

CONTENT_LEVELS = 4  # the content loss reads relu3_1 and relu4_1

Vgg = NormalisedVgg | StudentVgg


@dataclass(frozen=True)
class StylizerTraining:
    """What to train the compact AdaIN network on, and how.

    `perceptual` names one VGG that reaches relu4_1, or two: an exact one for the levels it has and a cheap,
    deep one for the rest.
    """

    photos: Sequence[str | Path]
    art: Sequence[str | Path]
    perceptual: Sequence[str | Path]
    recipe: StylizerSettings = field(default_factory=StylizerSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)


def train_stylizer(name: str, training: StylizerTraining, output: str | Path, resume: bool = False) -> TrainingState:
    """Train in the folder `output`: checkpoint, losses.jsonl and sheets; goes on from there with `resume`."""
    recipe = StylizerRecipe(
        name,
        load_pictures(training.photos),
        load_pictures(training.art),
        open_networks(training.perceptual),
        training.recipe,
        choose_device(training.loop.device),
    )
    return train(recipe, training.loop, Path(output), resume)


def export_adain(
    run: str | Path, folder: str | Path, unseen: StylizerTraining, about: dict[str, Any] | None = None
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
) -> StylizerTraining:
    """Settings from YAML with `recipe:` and `loop:`, each a mapping; `steps` over the latter's.

    Raises RequestError naming the setting that does not exist or is of the wrong type.
    """
    settings = read_recipe(recipe, steps, recipe=StylizerSettings, loop=LoopSettings)
    return StylizerTraining(photos, art, perceptual, **settings)


@dataclass(frozen=True)
class ClipTraining:
    """What to train a small CLIP on, and how. File names such as n01443537-goldfish.jpg label their pictures."""

    photos: Sequence[str | Path]
    art: Sequence[str | Path]
    recipe: ClipSettings = field(default_factory=ClipSettings)
    renders: RenderSettings = field(default_factory=RenderSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)


def train_clip(
    training: ClipTraining, output: str | Path, renders: str | Path | None = None, resume: bool = False
) -> TrainingState:
    """Train in the folder `output`; renders are kept there, or in `renders`, which several runs may share."""
    photographs, art = load_pictures(training.photos), load_pictures(training.art)
    drawn = open_renders(photographs, art, training.renders, Path(renders or output))
    return train(ClipRecipe(drawn, training.recipe), training.loop, Path(output), resume)


def export_clip(
    run: str | Path,
    folder: str | Path,
    unseen_photos: Sequence[str | Path],
    unseen_labelled: Sequence[str | Path],
    about: Path | None = None,
) -> Path:
    """Write the run's model, as open_clip reads it, to `folder`/NAME, and its card with figures to `folder`.

    `about` is YAML whose mapping goes on the card as it is: licence, data, notes. Raises RequestError where the run
    is another network's, or no picture of `unseen_labelled` has a label.
    """
    tensors, history = read_average(Path(run))
    recipe, notes = history["phases"][0]["recipe"], read_mapping(about)
    if "network" not in recipe:
        raise RequestError(f"{run} is not a run of `train clip`: name the folder of one.")
    photographs, labelled = load_pictures(unseen_photos), load_pictures(unseen_labelled)
    name = recipe["network"]
    weights = save_clip(name, recipe["seed"], tensors, Path(folder) / name)
    figures = measure_clip(open_clip_model(f"local-dir:{weights.parent}"), photographs, labelled)
    write_card(Path(run), name, weights, Path(folder), {**notes, "figures": figures})
    return weights.parent


def read_clip_training(
    photos: Sequence[Path], art: Sequence[Path], recipe: Path | None, steps: int | None
) -> ClipTraining:
    """Settings from YAML with `recipe:`, `renders:` and `loop:`, as for `read_training`."""
    settings = read_recipe(recipe, steps, recipe=ClipSettings, renders=RenderSettings, loop=LoopSettings)
    if settings["renders"].views >= len(RENDERINGS):
        raise RequestError(f"{recipe}: renders.views: art has {len(RENDERINGS) - 1} renderings: write at most that.")
    return ClipTraining(photos, art, **settings)


def read_recipe(path: Path | None, steps: int | None, **sections: type) -> dict[str, Any]:
    """Settings by section from a YAML file, defaults for what it leaves out; `steps` over the loop's."""
    content = read_mapping(path)
    refuse_unknown(content, sections, f"{path}: ")
    settings = {name: read_section(content.get(name), kind, f"{path}: {name}") for name, kind in sections.items()}
    return {**settings, "loop": replace(settings["loop"], steps=steps)} if steps else settings


def read_section(values: Any, settings: type, where: str) -> Any:
    """The settings of a section, checked. Raises RequestError naming what is wrong."""
    if not isinstance(values, dict | None):
        raise RequestError(f"{where} is not a mapping: write its settings as `name: value`.")
    refuse_unknown(values or {}, [known.name for known in fields(settings)], f"{where}.")
    try:
        return TypeAdapter(settings).validate_python(values or {})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RequestError(f"{where}.{'.'.join(map(str, first['loc']))}: {first['msg']}.") from error


def refuse_unknown(names: Collection[str], known: Collection[str], where: str) -> None:
    """Raise RequestError for a name that is not known: a misspelt setting would train for hours without effect."""
    for name in names:
        if name not in known:
            raise RequestError(f"{where}{name} does not exist: write one of {', '.join(known)}.")


def read_mapping(path: Path | None) -> dict[str, Any]:
    """The mapping in a YAML file; empty without a file. Raises RequestError where it cannot be read as one."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) if path else None
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} is not a YAML file: {' '.join(str(error).split())[:300]}.") from error
    if not isinstance(content, dict | None):
        raise RequestError(f"{path} is not a mapping: write it as `name: value`.")
    return content or {}


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
