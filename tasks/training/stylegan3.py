"""Training a small StyleGAN3 against a discriminator, on patches of art: steps, checkpoints, sheets.

Dimension key: N images, C channels (RGB), H and W pixels.

Config T of Karras et al., Alias-Free Generative Adversarial Networks, NeurIPS 2021: logistic loss and lazy R1, neither
mixed styles nor path lengths. Both networks step on one batch of made images, which halves the generator's work.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from tasks.encoders.clip import open_clip_model
from tasks.encoders.placement import autocast
from tasks.encoders.stylegan3.architecture import GeneratorConfig
from tasks.encoders.stylegan3.generator import Generator
from tasks.training.data import Pictures
from tasks.training.history import LossLog
from tasks.training.loop import CHECKPOINT, choose_device, prepare_folder, write_sheet
from tasks.training.stylegan3_augmentation import Augmentation, blur, fading_sigma
from tasks.training.stylegan3_discriminator import Discriminator, discriminator_loss, generator_loss, gradient_penalty
from tasks.training.stylegan3_figures import generate, measure_generator
from tasks.training.stylegan3_graphs import GraphedSteps
from tasks.training.stylegan3_patches import PatchPool, latents, seed, sheet_of
from tasks.training.stylegan3_settings import Stylegan3Settings, TimedLoop
from tasks.training.stylegan3_state import SNAPSHOT, AdversarialState

SHEET = (8, 4, (1.0, 0.7))  # columns, rows and truncations of a sheet
FIGURES = "figures.jsonl"
MAGNITUDE_IMAGES = 20_000  # half life of the layers' input magnitudes, the authors'


class Stylegan3Recipe:
    """The two networks, the patches, and the losses of a step: all random numbers are of the seed and the step."""

    def __init__(self, works: Pictures, settings: Stylegan3Settings, device: torch.device) -> None:
        self.settings, self.device, self.works = settings, device, len(works)
        self.pool = PatchPool.load(works, settings.short_side, device)
        torch.manual_seed(settings.seed)
        generator = Generator(configure(settings))
        generator.magnitude_beta = half_life(settings.batch, MAGNITUDE_IMAGES)
        discriminator = Discriminator(settings.resolution, settings.discriminator_base, settings.discriminator_max)
        self.network = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
        self.judge = open_clip_model(settings.judge, str(device)) if settings.judge else None
        self.draws, self.changed = (torch.Generator(device) for _ in range(2))

    def seed(self, step: int) -> None:
        """What comes next is drawn for a step."""
        for purpose, generator in enumerate((self.draws, self.changed)):
            seed(generator, [self.settings.seed, step, purpose])

    def is_penalised(self, step: int) -> bool:
        """Whether a step has a penalty on the discriminator's gradient."""
        return bool(self.settings.r1_weight) and step % self.settings.r1_interval == 0

    def is_steady(self, step: int) -> bool:
        """Whether all that changes in the steps from this one on is on the device."""
        return step * self.settings.batch >= self.settings.blur_images

    def losses(self, state: AdversarialState, half: torch.dtype | None) -> dict[str, Tensor]:
        """The total, which both networks go down, each by its own part, and the parts; `seed` it for its step first."""
        settings, step = self.settings, state.step
        real_NCHW = self.pool.draw(
            settings.batch, settings.resolution, settings.smallest_window, settings.recolour, self.draws
        )
        latents_NZ = latents(settings.batch, settings.latent, self.draws)
        made_NCHW = state.generator.synthesize(state.generator.map(latents_NZ), half=half).float()
        show = self.changes(step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half is not None):
            shown_NCHW = show(made_NCHW)
            scores = [state.discriminator(images) for images in (show(real_NCHW), shown_NCHW.detach())]
            parts = {"discriminator": discriminator_loss(*scores)}
            parts["generator"] = generator_loss(state.discriminator, shown_NCHW)
        total = parts["discriminator"] + parts["generator"]
        parts |= {"real": scores[0].detach().mean(), "made": scores[1].detach().mean()}
        parts["penalty"] = torch.zeros_like(total.detach())  # of every step, or the log would leave it out
        if self.is_penalised(step):
            penalty = gradient_penalty(lambda images: state.discriminator(show(images)), real_NCHW)
            parts["penalty"] = settings.r1_interval * penalty.detach()  # so that a mean over steps is one of penalties
            total = total + 0.5 * settings.r1_weight * settings.r1_interval * penalty
        return {"loss": total, **parts}

    def changes(self, step: int) -> Any:
        """What the discriminator is shown in place of images at a step."""
        settings = self.settings
        augmentation = Augmentation(settings.augment, self.changed)
        sigma = fading_sigma(settings.blur_sigma, step * settings.batch, settings.blur_images)
        return lambda images: blur(augmentation(images), sigma)

    def judge_average(self, generator: Any) -> dict[str, float]:
        """Figures of the generator against the patches; none without a judge."""
        pools = {"art": self.pool}
        judge, settings = self.judge, self.settings
        return measure_generator(generator, judge, pools, settings, settings.judged) if judge else {}

    def describe(self) -> dict[str, Any]:
        """Settings and the count of works, for the checkpoint and the card."""
        return {"network": "stylegan3", **asdict(self.settings), "art": self.works}


def configure(settings: Stylegan3Settings) -> GeneratorConfig:
    """The generator that these settings train."""
    return GeneratorConfig(
        z_size=settings.latent,
        w_size=settings.latent,
        resolution=settings.resolution,
        channels_base=settings.channels_base,
        channels_max=settings.channels_max,
        layers=settings.layers,
    )


def half_life(batch: int, images: int) -> float:
    """The decay a step of a mean whose half life is that many images."""
    return float(0.5 ** (batch / images))


def train_generator(works: Pictures, settings: Stylegan3Settings, loop: TimedLoop, folder: Path, resume: bool) -> Any:
    """Train in `folder`; the state's `average` is what to use.

    Ends at `loop.steps`, or `loop.seconds` of this call. `resume` goes on as if the run had never stopped.
    RequestError where a checkpoint is there and `resume` was not asked for, or a step's loss is not finite.
    """
    device = choose_device(loop.device)
    hurry(device)
    recipe = Stylegan3Recipe(works, settings, device)
    decay = half_life(settings.batch, settings.average_images)
    state = AdversarialState(recipe.network, loop, recipe.describe(), decay, settings.discriminator_rate)
    prepare_folder(folder, resume)
    if (folder / CHECKPOINT).exists():
        state.load(folder / CHECKPOINT)
    state.network.train()
    run_steps(recipe, state, loop, folder)
    keep(recipe, state, folder)
    return state


def hurry(device: torch.device) -> None:
    """On a GPU, try cuDNN's algorithms, for shapes stay, and multiply float32 as precisely as its convolutions do."""
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")


def run_steps(recipe: Stylegan3Recipe, state: AdversarialState, loop: TimedLoop, folder: Path) -> None:
    """Steps until the last or the end of the time, with progress on stderr."""
    log, steps = LossLog(folder), GraphedSteps(recipe, state, half_precision(loop, state.device))
    began = saved = time.monotonic()
    bar = tqdm(total=loop.steps, initial=state.step, unit="step", mininterval=10)
    while state.step < loop.steps and not is_over(began, loop.seconds):
        log.add(state.step + 1, *steps.run())
        bar.update()
        if state.step % loop.log_steps == 0:
            log.check()
            bar.set_postfix(log.write(state.step), refresh=False)
        if state.step % loop.sheet_steps == 0:
            log.check()
            log.draw()
            write_sheet(folder / f"sheet-{state.step:06d}.png", draw_sheet(state.average))
        if time.monotonic() - saved > loop.checkpoint_seconds:
            log.check()
            keep(recipe, state, folder)
            saved = time.monotonic()
    log.check()
    log.draw()
    bar.close()


def is_over(began: float, seconds: float | None) -> bool:
    return seconds is not None and time.monotonic() - began > seconds


def keep(recipe: Stylegan3Recipe, state: AdversarialState, folder: Path) -> None:
    """A checkpoint to go on from, a small file of the average, and how good its pictures are."""
    state.save(folder / CHECKPOINT)
    state.save_snapshot(folder / SNAPSHOT)
    write_sheet(folder / "sheet.png", draw_sheet(state.average))
    line = {"step": state.step, "time": round(time.time(), 1), **recipe.judge_average(state.average)}
    with (folder / FIGURES).open("a") as file:
        file.write(json.dumps(line) + "\n")


def draw_sheet(generator: Any) -> Tensor:
    """Pictures of fixed latents, first as they are, then truncated towards the mean; 3HW in [0, 1]."""
    columns, rows, truncations = SHEET
    parts = [generate(generator, columns * rows, seed=0, psi=psi) for psi in truncations]
    return sheet_of(torch.cat(parts), columns).cpu()


def half_precision(loop: TimedLoop, device: torch.device) -> torch.dtype | None:
    """The precision of convolutions: bfloat16 where the loop, or a GPU by itself, asks for it."""
    with autocast(device, loop.precision):
        return torch.bfloat16 if torch.is_autocast_enabled(device.type) else None
