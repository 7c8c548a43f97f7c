"""Cross-modal GAN inversion: pictures that lead in CLIP where a style does, many styles' as one batch.

Dimension key: B pictures that are sought (goals), N first latents, K patches of a picture, C contents, D embedding,
S side of a picture.

Wang et al., Multimodality-guided Image Style Transfer using Cross-modal GAN Inversion, WACV 2024; `gen_one` of
gen_style_reps.py and `get_best_ws_multi` of utils.py (hywang66/mmist @ e48bb01). What is drawn for a goal depends on
its own seed alone, so that a picture is the same whatever else is in its batch, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.encoders.clip import ClipEncoder
from tasks.encoders.placement import autocast
from tasks.losses.clip import embed_crops, embed_pixels, unit_directions
from tasks.losses.crops import Crops, draw_crops
from tasks.methods.bars import Bar
from tasks.methods.mmist.generators import Drawn, PictureGenerator
from tasks.methods.mmist.goals import Contents, Goal
from tasks.methods.mmist.settings import MmistSettings
from tasks.methods.seeds import make_seed

# The authors' weights of a style sum to it (README of hywang66/mmist). Adam does not mind, but for its epsilon.
WEIGHT = 1000.0
# Pictures at once where `pictures_at_once` is auto: by the pixels of all of them, and of their patches.
GPU_PIXELS_AT_ONCE, CPU_PIXELS_AT_ONCE = 16 * 512 * 512, 2 * 256 * 256
FIRST_ON_CPU, FIRST_ON_GPU = 16, 64  # first latents at once, at most


@dataclass(frozen=True)
class Found:
    """A latent, the picture 3SS in [0, 1] of it, and its losses: of the first latent, whole, and of the last patches.

    Losses are of weights that sum to 1: from 0, all patches lead where the style does, to 2.
    """

    latent: Tensor
    picture_3SS: Tensor
    first_loss: float
    last_loss: float


@dataclass(frozen=True)
class First:
    """First latents, their losses B as whole pictures, and the numbers B of the contents they are made of, if any."""

    latents: Tensor
    losses_B: Tensor
    contents_B: Tensor | None = None

    def rows(self, rows: slice) -> First:
        """Some of them."""
        contents_B = None if self.contents_B is None else self.contents_B[rows]
        return First(self.latents[rows], self.losses_B[rows], contents_B)


@dataclass(frozen=True)
class Trial:
    """What a step draws: patches of each picture, contents that their directions start from, shifts round the borders.

    `contents_BM` are numbers of M contents; `shifts_B2` rows and columns, of pictures that are periodic.
    """

    crops: Crops
    contents_BM: Tensor
    shifts_B2: Tensor | None = None


@dataclass(frozen=True)
class Step:
    """Latents and pictures before an update, and losses of the pictures' patches."""

    latents: Tensor
    pictures_B3SS: Tensor
    losses_B: Tensor


class Inverter:
    """Seeks pictures for goals with one generator and one CLIP."""

    def __init__(
        self, generator: PictureGenerator, encoder: ClipEncoder, contents: Contents, settings: MmistSettings
    ) -> None:
        self.generator, self.encoder, self.contents, self.settings = generator, encoder, contents, settings
        self.device = torch.device(encoder.device)
        # Where a generator makes smaller pictures than were asked for, patches shrink with them.
        self.crop_size = max(1, round(settings.crop_size * generator.side / settings.size))

    def invert(self, goals: Sequence[Goal], name: str = "pictures") -> list[Found]:
        """A picture for each goal. Progress goes to stderr."""
        first, found = self.choose_first(goals), list[Found]()
        with Bar(total=self.settings.steps * len(goals), desc=f"inverting {name}") as bar:
            for start in range(0, len(goals), self.at_once):
                rows = slice(start, start + self.at_once)
                last = self._finish(goals[rows], first.rows(rows), bar)
                columns = (last.latents, last.pictures_B3SS, first.losses_B[rows].tolist(), last.losses_B.tolist())
                found += [Found(*values) for values in zip(*columns, strict=True)]
        return found

    @torch.no_grad()
    def choose_first(self, goals: Sequence[Goal]) -> First:
        """For each goal the best of `starts` random latents, by whole pictures; pooled, the best of all of a style's.

        Goals of one seed, those of several styles, share the latents: each is made into a picture once for all.
        """
        groups = self._group(goals)
        best: list[list[First]] = [[] for _ in groups]
        for seed in dict.fromkeys(goal.seed for goal in goals):
            drawing = [number for number, places in enumerate(groups) if any(goals[p].seed == seed for p in places)]
            for drawn, losses_NB in self._score_first(seed, [goals[groups[number][0]] for number in drawing]):
                for column, number in enumerate(drawing):
                    count = len(groups[number])
                    rows = losses_NB[:, column].argsort()[:count].tolist()
                    found = [*best[number], *(pick_first(drawn, losses_NB, row, column) for row in rows)]
                    best[number] = sorted(found, key=lambda one: float(one.losses_B))[:count]
        chosen = {
            p: one for places, found in zip(groups, best, strict=True) for p, one in zip(places, found, strict=True)
        }
        return join_first([chosen[place] for place in range(len(goals))])

    def _group(self, goals: Sequence[Goal]) -> list[list[int]]:
        """Places of goals that choose among the same first latents: each its own, or pooled, those of a style."""
        groups: dict[int, list[int]] = {}
        for place, goal in enumerate(goals):
            groups.setdefault(goal.style if self.settings.pooled else place, []).append(place)
        return list(groups.values())

    def optimise(self, goals: Sequence[Goal], first: First, trials: Iterable[Trial]) -> Iterator[Step]:
        """Each step's pictures and losses, before the update that follows; the last step has none."""
        latents = first.latents.detach().clone().requires_grad_()
        optimiser = torch.optim.Adam([latents], lr=self.settings.learning_rate)
        for number, trial in enumerate(trials, start=1):
            is_last = number == self.settings.steps
            with torch.set_grad_enabled(not is_last):
                pictures_B3SS = self.generator.pictures(latents)
                losses_B = self.patch_losses(pictures_B3SS, goals, trial, first.contents_B)
            yield Step(latents.detach().clone(), pictures_B3SS.detach(), losses_B.detach())
            if not is_last:
                optimiser.zero_grad(set_to_none=True)
                (WEIGHT * losses_B.sum()).backward()
                optimiser.step()

    def draw_trials(self, goals: Sequence[Goal]) -> Iterator[Trial]:
        """What each step draws, from each goal's own seed."""
        side = self.generator.side
        draws = [torch.Generator().manual_seed(make_seed(goal.seed, 1)) for goal in goals]
        for _ in range(self.settings.steps):
            contents_BM = torch.stack([self._draw_contents(draw) for draw in draws])
            shifts_B2 = torch.stack([torch.randint(side, (2,), generator=draw) for draw in draws])
            crops = draw_crops(draws, self.settings.crops, self.crop_size, (side, side))
            yield Trial(crops, contents_BM, shifts_B2 if self.generator.periodic else None)

    def patch_losses(
        self, pictures_B3SS: Tensor, goals: Sequence[Goal], trial: Trial, made_of_B: Tensor | None = None
    ) -> Tensor:
        """The style-specific CLIP loss of tilted patches, B, 0 to 2: against contents that are drawn.

        Where it is known which content a picture was made of, its patches' directions start from the same patches of
        that, and are all style.
        """
        patches_BKD = self._embed_patches(pictures_B3SS, trial)
        if made_of_B is not None:
            with torch.no_grad():
                sources_BKD = self._embed_patches(self.contents.pictures_C3SS[made_of_B.to(self.device)], trial)
            targets_BD = torch.stack([goal.targets_CD.mean(0) for goal in goals])
            return 1 - (unit_directions(patches_BKD, sources_BKD).mean(1) * targets_BD).sum(1)
        contents_BM = trial.contents_BM.to(self.device)
        sources_BM1D = self.contents.embeddings_CD[contents_BM][:, :, None]
        directions_BMD = unit_directions(patches_BKD[:, None], sources_BM1D).mean(2)
        targets = [goal.targets_CD[contents_M] for goal, contents_M in zip(goals, contents_BM, strict=True)]
        return 1 - (directions_BMD * torch.stack(targets)).sum(2).mean(1)

    def whole_losses(self, pictures_N3SS: Tensor, goals: Sequence[Goal], contents_M: Tensor) -> Tensor:
        """The same of whole pictures for each of the goals, NB: what first latents are chosen by."""
        sources_MD = self.contents.embeddings_CD[contents_M]
        directions_NMD = unit_directions(self._embed(pictures_N3SS)[:, None], sources_MD)
        targets_BMD = torch.stack([goal.targets_CD[contents_M] for goal in goals])
        return 1 - torch.einsum("nmd,bmd->nb", directions_NMD, targets_BMD) / len(contents_M)

    def view_losses(self, views_NV3VV: Tensor, numbers_NV: Tensor, goals: Sequence[Goal]) -> Tensor:
        """The same where it is known which content each view is of: there its direction starts, and is all style."""
        numbers_NV = numbers_NV.to(self.device)
        embeddings_NVD = self._embed(views_NV3VV.flatten(0, 1)).unflatten(0, numbers_NV.shape)
        directions_NVD = unit_directions(embeddings_NVD, self.contents.embeddings_CD[numbers_NV])
        targets_BNVD = torch.stack([goal.targets_CD[numbers_NV] for goal in goals])
        return 1 - torch.einsum("nvd,bnvd->nb", directions_NVD, targets_BNVD) / numbers_NV.shape[1]

    def _embed_patches(self, pictures_B3SS: Tensor, trial: Trial) -> Tensor:
        if trial.shifts_B2 is not None:
            pictures_B3SS = roll(pictures_B3SS, trial.shifts_B2)
        with autocast(self.device, self.settings.precision):
            return embed_crops(self.encoder, pictures_B3SS, trial.crops).float()

    def _embed(self, pictures_N3SS: Tensor) -> Tensor:
        with autocast(self.device, self.settings.precision):
            return embed_pixels(self.encoder, pictures_N3SS).float()

    @property
    def at_once(self) -> int:
        """Pictures in one program."""
        if self.settings.pictures_at_once != "auto":
            return self.settings.pictures_at_once
        most = GPU_PIXELS_AT_ONCE if self.device.type == "cuda" else CPU_PIXELS_AT_ONCE
        return max(1, most // self.generator.side**2)

    def _finish(self, goals: Sequence[Goal], first: First, bar: Bar) -> Step:
        """The last step of some goals, as one program."""
        steps = self.optimise(goals, first, self.draw_trials(goals))
        step = next(steps)
        bar.update(len(goals))
        for step in steps:  # noqa: B007 (the last one is wanted)
            bar.update(len(goals))
        return step

    def _score_first(self, seed: int, goals: Sequence[Goal]) -> Iterator[tuple[Drawn, Tensor]]:
        """Random latents of a seed, some at a time, with their losses for each of the goals, NB."""
        generator = torch.Generator().manual_seed(seed)
        contents_M = self._draw_contents(generator).to(self.device)
        at_once = min(FIRST_ON_GPU if self.device.type == "cuda" else FIRST_ON_CPU, 4 * self.at_once)
        for start in range(0, self.settings.starts, at_once):
            drawn = self.generator.draw(min(at_once, self.settings.starts - start), generator)
            if drawn.views_NV3VV is None or drawn.numbers_NV is None:
                yield drawn, self.whole_losses(self.generator.pictures(drawn.latents), goals, contents_M)
            else:
                yield drawn, self.view_losses(drawn.views_NV3VV, drawn.numbers_NV, goals)

    def _draw_contents(self, generator: torch.Generator) -> Tensor:
        """Numbers of some contents, M, none of them twice."""
        return torch.randperm(len(self.contents.embeddings_CD), generator=generator)[: self.settings.contents]


def pick_first(drawn: Drawn, losses_NB: Tensor, row: int, column: int) -> First:
    """One of the latents that were drawn, as the first of one goal."""
    numbers_NV = drawn.numbers_NV
    made_of = None if numbers_NV is None else numbers_NV[row : row + 1, 0]
    return First(drawn.latents[row : row + 1].clone(), losses_NB[row : row + 1, column], made_of)


def join_first(some: Sequence[First]) -> First:
    """Several as one."""
    made_of = [one.contents_B for one in some if one.contents_B is not None]
    latents, losses_B = torch.cat([one.latents for one in some]), torch.cat([one.losses_B for one in some])
    return First(latents, losses_B, torch.cat(made_of) if made_of else None)


def roll(pictures_B3SS: Tensor, shifts_B2: Tensor) -> Tensor:
    """Each picture moved down and to the right, round its borders."""
    pairs = zip(pictures_B3SS, shifts_B2.tolist(), strict=True)
    moved = [torch.roll(one_3SS, tuple(shift), (1, 2)) for one_3SS, shift in pairs]
    return torch.stack(moved)
