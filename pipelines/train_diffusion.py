"""Train a small latent diffusion model from photographs and art, and export it as diffusers reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.train import make_absolute, read_mapping, read_recipe
from tasks.records import RequestError
from tasks.training.data import load_pictures
from tasks.training.diffusion import train_diffusion as train_stages
from tasks.training.diffusion_export import open_diffusion_run, write_diffusion, write_diffusion_card
from tasks.training.diffusion_figures import measure_diffusion
from tasks.training.diffusion_settings import DiffusionSettings, DiffusionTraining, check
from tasks.training.loop import LoopSettings, TrainingState, choose_device
from tasks.training.renderings.catalogue import RENDERINGS
from tasks.training.renders import RenderSettings


def train_diffusion(training: DiffusionTraining, output: str | Path, resume: bool = False) -> TrainingState:
    """Train both stages in the folder `output`; goes on from there with `resume`."""
    return train_stages(training, Path(output), resume)


def export_diffusion(
    run: str | Path,
    folder: str | Path,
    unseen_photos: Sequence[str],
    unseen_art: Sequence[str],
    about: Path | None = None,
    image: str | None = None,
) -> Path:
    """Write the run's model, half precision, to `folder`/NAME, and its card with figures to `folder`.

    `about` is YAML whose mapping goes on the card as it is. Raises RequestError where the run is another network's,
    what would be written is too large to ship, or there are too few unseen pictures.
    """
    trained, notes = open_diffusion_run(Path(run)), read_mapping(about)
    photos, art = (load_pictures(sources, image=image) for sources in (unseen_photos, unseen_art))
    if min(len(photos), len(art)) < 2:
        raise RequestError("name folders with two unseen photographs and two works of art at least, for the figures.")
    written = write_diffusion(trained, Path(folder))
    trained.pipeline.to(choose_device("auto"))
    figures = measure_diffusion(trained.pipeline, trained.settings, photos, art)
    write_diffusion_card(trained, written, {**notes, "figures": figures})
    return written


def read_diffusion_training(
    photos: Sequence[str],
    art: Sequence[str],
    perceptual: Sequence[str],
    recipe: Path | None = None,
    steps: int | None = None,
    image: str | None = None,
) -> DiffusionTraining:
    """Settings from YAML with `recipe:`, `renders:`, `autoencoder_loop:` and `loop:`, as for `train.read_training`."""
    settings = read_recipe(
        recipe,
        steps,
        recipe=DiffusionSettings,
        renders=RenderSettings,
        autoencoder_loop=LoopSettings,
        loop=LoopSettings,
    )
    renders, chosen = settings["renders"], settings["recipe"]
    check(chosen)
    if renders.views >= len(RENDERINGS):
        raise RequestError(f"{recipe}: renders.views: art has {len(RENDERINGS) - 1} renderings: write at most that.")
    if renders.side < chosen.size:
        raise RequestError(f"{recipe}: renders.side: write at least recipe.size, {chosen.size}.")
    seen = [[make_absolute(place) for place in places] for places in (photos, art, perceptual)]
    return DiffusionTraining(seen[0], seen[1], seen[2], **settings, image=image)
