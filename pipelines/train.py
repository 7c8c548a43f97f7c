"""Train the networks that we ship, from photographs and art: the compact stylizers, small CLIPs, a StyleGAN3."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import TypeAdapter, ValidationError

from tasks.encoders.clip import open_clip_model
from tasks.methods.settings import open_method
from tasks.plain_yaml import read_yaml
from tasks.records import RequestError
from tasks.training.clip import ClipRecipe, ClipSettings, Network, save_clip
from tasks.training.clip_figures import measure_clip
from tasks.training.data import load_pictures
from tasks.training.export import read_average, write_card
from tasks.training.figures import measure
from tasks.training.loop import LoopSettings, TrainingState, choose_device, train
from tasks.training.networks import check
from tasks.training.parallel import train_parallel
from tasks.training.perception import open_networks
from tasks.training.renderings.catalogue import RENDERINGS
from tasks.training.renders import RenderSettings, open_renders
from tasks.training.stylegan3 import train_generator
from tasks.training.stylegan3_export import open_generator_run, write_generator, write_generator_card
from tasks.training.stylegan3_figures import measure_generator
from tasks.training.stylegan3_patches import PatchPool
from tasks.training.stylegan3_settings import Stylegan3Settings, Stylegan3Training, TimedLoop
from tasks.training.stylegan3_state import AdversarialState
from tasks.training.stylizer import StylizerTraining, make_recipe
from tasks.training.stylizer_export import open_run, settings_of, write_cards, write_weights
from tasks.training.stylizer_settings import StylizerSettings
from tasks.weights.references import is_path

JUDGE = "embedded:clip-small"  # of generated pictures: no download


def train_stylizer(name: str, training: StylizerTraining, output: str | Path, resume: bool = False) -> TrainingState:
    """Train in the folder `output`: checkpoint, losses and sheets; goes on from there with `resume`.

    `name` is that of a method: adain, adaattn, style_kernel.
    """
    check(name, training.recipe)
    recipe = make_recipe(name, training, choose_device(training.loop.device))
    return train(recipe, training.loop, Path(output), resume)


def train_stylizer_parallel(
    name: str, training: StylizerTraining, output: str | Path, resume: bool = False, workers: int = 2
) -> None:
    """The same on `workers` devices of the Ray cluster at RAY_ADDRESS, or of this machine: a batch of each is a step.

    Each process reads the pictures and weights itself, from where it stands: all paths are absolute.
    """
    from tasks.actors.cluster import connected  # with ray, seconds to import

    check(name, training.recipe)
    with connected(os.environ.get("RAY_ADDRESS")):
        train_parallel(partial(make_recipe, name, training), training.loop, Path(output), resume, workers)


def export_stylizer(
    run: str | Path, folder: str | Path, unseen: StylizerTraining, about: Path | None = None
) -> list[Path]:
    """Write NAME-small, or what was trained on VGG, and cards to `folder`; which network it is, the run says.

    Figures are of the pictures and networks of `unseen`. `about` is YAML whose mapping goes on the cards as it is.
    """
    trained, notes, perceptual = open_run(Path(run)), read_mapping(about), open_networks(unseen.perceptual)
    photos, art = (load_pictures(sources, image=unseen.image) for sources in (unseen.photos, unseen.art))
    paths = write_weights(trained, Path(folder))
    method = open_method(settings_of(trained, paths))
    figures = measure(trained.network, method, photos, art, perceptual.style)
    write_cards(trained, paths, Path(folder), {**notes, "figures": figures})
    return list(paths.values())


def read_training(
    photos: Sequence[str],
    art: Sequence[str],
    perceptual: Sequence[str],
    recipe: Path | None = None,
    steps: int | None = None,
    image: str | None = None,
) -> StylizerTraining:
    """Settings from YAML with `recipe:` and `loop:`, each a mapping; `steps` over the latter's.

    Relative paths become absolute: those in the YAML are relative to it, others to the working directory. Raises
    RequestError naming the setting that does not exist or is of the wrong type.
    """
    settings = read_recipe(recipe, steps, recipe=StylizerSettings, loop=LoopSettings)
    beside = recipe.parent if recipe else Path()
    read: StylizerSettings = settings["recipe"]
    weights = replace(
        read,
        start=read.start and make_absolute(read.start, beside),
        encoder_weights=read.encoder_weights and make_absolute(read.encoder_weights, beside),
    )
    seen = [[make_absolute(place) for place in places] for places in (photos, art, perceptual)]
    return StylizerTraining(seen[0], seen[1], seen[2], weights, settings["loop"], image)


def make_absolute(reference: str, folder: Path = Path()) -> str:
    """A path as seen from a folder, absolute; other references as they are."""
    return str((folder / Path(reference).expanduser()).absolute()) if is_path(reference) else reference


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
    if recipe.get("network") not in get_args(Network):
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
    """Settings from YAML with `recipe:`, `renders:` and `loop:`, as for `read_training`; so is a path to start from."""
    settings = read_recipe(recipe, steps, recipe=ClipSettings, renders=RenderSettings, loop=LoopSettings)
    if settings["renders"].views >= len(RENDERINGS):
        raise RequestError(f"{recipe}: renders.views: art has {len(RENDERINGS) - 1} renderings: write at most that.")
    read: ClipSettings = settings["recipe"]
    start = read.start and make_absolute(read.start, recipe.parent if recipe else Path())
    return ClipTraining(photos, art, **{**settings, "recipe": replace(read, start=start)})


def train_stylegan3(training: Stylegan3Training, output: str | Path, resume: bool = False) -> AdversarialState:
    """Train in the folder `output`: checkpoint, losses, figures and sheets; goes on from there with `resume`."""
    works = load_pictures(training.art, image=training.image)
    return train_generator(works, training.recipe, training.loop, Path(output), resume)


def export_stylegan3(
    run: str | Path,
    folder: str | Path,
    art: Sequence[str | Path],
    unseen_art: Sequence[str | Path],
    about: Path | None = None,
) -> Path:
    """Write the run's generator, half precision, to `folder`, and its card with figures.

    Figures are distances to patches of `art`, which it was trained on, and of `unseen_art`, by `JUDGE`.
    """
    trained, notes, device = open_generator_run(Path(run)), read_mapping(about), choose_device("auto")
    weights, settings = write_generator(trained, Path(folder)), trained.settings
    sources = {"art": art, "unseen_art": unseen_art}
    pools = {kind: PatchPool.load(load_pictures(where), settings.short_side, device) for kind, where in sources.items()}
    judge = open_clip_model(JUDGE, str(device))
    figures = measure_generator(trained.generator.to(device), judge, pools, settings, settings.judged)
    write_generator_card(trained, weights, Path(folder), {**notes, "figures": {"judge": JUDGE, **figures}})
    return weights


def read_stylegan3_training(
    art: Sequence[str | Path],
    recipe: Path | None,
    steps: int | None = None,
    seconds: float | None = None,
    image: str | None = None,
) -> Stylegan3Training:
    """Settings from YAML with `recipe:` and `loop:`, as for `read_training`; `seconds` over the loop's."""
    settings = read_recipe(recipe, steps, recipe=Stylegan3Settings, loop=TimedLoop)
    loop = replace(settings["loop"], seconds=seconds) if seconds else settings["loop"]
    return Stylegan3Training(art, settings["recipe"], loop, image)


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
        content = read_yaml(path.read_text(encoding="utf-8")) if path else None
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} is not a YAML file: {' '.join(str(error).split())[:300]}.") from error
    if not isinstance(content, dict | None):
        raise RequestError(f"{path} is not a mapping: write it as `name: value`.")
    return content or {}
