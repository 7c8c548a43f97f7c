"""Attention-based textual inversion: what the attention makes of a painting becomes the word that says it.

Dimension key: P rows (paintings times their noises), C channels, h and w of a latent, T tokens, W width of a word,
K words of a painting (1).

Zhang et al. (arXiv 2211.13203), section 3.2; settings of v1-finetune.yaml and main.py of zyxElsa/InST @ 71a8f01. The
U-Net, the VAE and both CLIPs are frozen and shared; each painting has an attention, an optimiser and draws of its own,
so that it learns the same beside any others, up to rounding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.clip import ClipEncoder
from tasks.encoders.diffusion.backbone import Diffusion, find_memory, fit_pixels
from tasks.encoders.diffusion.prompts import MARK, encode_prompts
from tasks.methods.bars import Bar
from tasks.methods.inst.attention import OfficialAttention, PatchAttention, StyleAttention, set_generator
from tasks.methods.inst.checkpoints import Checkpoints
from tasks.methods.inst.paintings import Painting, read_painting, stack
from tasks.methods.inst.settings import InversionSettings
from tasks.methods.seeds import make_seed
from tasks.records import RequestError

LOOK_EVERY, PROBES = 100, 8  # steps between looks at the loss; the times, evenly spread, that a look takes it at
KEEP_EVERY = 500  # steps between checkpoints (main.py)
# Of latents that learn at once, in pixels of their paintings: on a GPU by its memory, at four gigabytes for 512x512,
# of which a U-Net keeps what its gradients need; reckoned.
GPU_BYTES_A_PIXEL, CPU_PIXELS = 16384, 4 * 64 * 64


@dataclass(frozen=True)
class Word:
    """What a painting became, KW, float32; its losses from the start to the end, on noises set apart; the steps."""

    vectors_KW: Tensor
    losses: Sequence[float] = ()
    updates: int = 0


@dataclass
class Lesson:
    """A painting that is being learned."""

    painting: Painting
    attention: StyleAttention
    optimiser: torch.optim.Optimizer
    key: str
    updates: int = 0
    losses: list[float] = field(default_factory=list)

    @torch.no_grad()
    def word(self) -> Tensor:
        """The word as it is now, 1W, with nothing dropped."""
        self.attention.eval()
        return self.attention(self.painting.pooled_2D[:1], self.painting.tokens_2TE[:1])


class Inverter:
    """Learns paintings with one diffusion model and one CLIP."""

    def __init__(self, diffusion: Diffusion, encoder: ClipEncoder, settings: InversionSettings) -> None:
        self.diffusion, self.encoder, self.settings = diffusion, encoder, settings
        self.times = diffusion.noising.config.num_train_timesteps
        self.checkpoints = Checkpoints(settings.checkpoints)

    def learn(self, pictures: Sequence[Tensor], name: str = "paintings") -> list[Word]:
        """A word for each picture, 3HW in [0, 1]. Progress goes to stderr."""
        words: list[Word] = []
        with Bar(total=self.settings.updates * len(pictures), desc=f"learning {name}") as bar:
            for start in range(0, len(pictures), self._at_once):
                lessons = [self._begin(picture_3HW) for picture_3HW in pictures[start : start + self._at_once]]
                self._teach(lessons, bar)
                words += [self._finish(lesson) for lesson in lessons]
        return words

    @torch.no_grad()
    def read(self, attention: StyleAttention, picture_3HW: Tensor) -> Word:
        """The word that an attention, learned before, makes of a picture."""
        painting = self._read_painting(picture_3HW)
        self._check_width(painting)
        return Word(attention(painting.pooled_2D[:1], painting.tokens_2TE[:1]).float().cpu())

    def loss(self, lessons: Sequence[Lesson], update: int) -> Tensor:
        """Noise-prediction errors of a step, one a lesson, with gradients to their attentions (equation 2)."""
        draws = [torch.Generator().manual_seed(make_seed(self.settings.seed, update)) for _ in lessons]
        words, rows = [], []
        for lesson, draw in zip(lessons, draws, strict=True):
            flips = torch.randint(2, (self.settings.batch,), generator=draw).tolist()
            rows += [(lesson.painting, flip) for flip in flips]
            lesson.attention.train()
            set_generator(lesson.attention, draw)
            pooled, tokens, _, _ = stack([lesson.painting] * len(flips), flips)
            words += list(lesson.attention(pooled, tokens)[:, None])
        _, _, means, deviations = stack(*zip(*rows, strict=True))
        shape = (self.settings.batch, *means.shape[1:])
        noises = [torch.stack([torch.randn(shape, generator=draw) for _ in range(2)]) for draw in draws]
        times_P = torch.cat([torch.randint(self.times, (self.settings.batch,), generator=draw) for draw in draws])
        sampling, added = torch.cat(noises, 1).to(means.device)
        latents = self.diffusion.vae.config.scaling_factor * (means + deviations * sampling)
        errors_P = prediction_errors(self.diffusion, latents, added, times_P, self._tell(words))
        return errors_P.view(len(lessons), -1).mean(1)

    def _tell(self, words: Sequence[Tensor]) -> Tensor:
        """Conditions_PTW of words alone: the only caption that InST trains with."""
        return encode_prompts(self.diffusion, [MARK] * len(words), words)

    def _begin(self, picture_3HW: Tensor) -> Lesson:
        settings = self.settings
        painting = self._read_painting(picture_3HW)
        attention = self._make_attention(painting).to(self.diffusion.device)
        optimiser = torch.optim.AdamW(attention.parameters(), lr=settings.learning_rate)
        identity = hashlib.sha256(picture_3HW.contiguous().numpy().tobytes())
        identity.update(repr(settings.inversion_settings()).encode())
        lesson = Lesson(painting, attention, optimiser, identity.hexdigest()[:32])
        self.checkpoints.resume(lesson)
        return lesson

    def _read_painting(self, picture_3HW: Tensor) -> Painting:
        official = self.settings.variant == "official"
        return read_painting(picture_3HW, self.diffusion, self.encoder, self.settings.size, official)

    def _check_width(self, painting: Painting) -> None:
        pooled, width = painting.pooled_2D.shape[-1], self.diffusion.width
        if self.settings.variant == "official" and pooled != width:
            raise RequestError(
                f"variant official needs a CLIP whose embeddings are as wide as the model's words ({width}), and "
                f"{self.settings.clip} has {pooled}: name that CLIP, or write variant: patch."
            )

    def _make_attention(self, painting: Painting) -> StyleAttention:
        """First weights come from the seed, without touching torch's own."""
        settings, width = self.settings, self.diffusion.width
        self._check_width(painting)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            if settings.variant == "official":
                return OfficialAttention(width, settings.dropout)
            pooled, tokens = painting.pooled_2D.shape[-1], painting.tokens_2TE.shape[-1]
            return PatchAttention(pooled, tokens, width, settings.layers, settings.dropout)

    def _teach(self, lessons: Sequence[Lesson], bar: Bar) -> None:
        """All lessons to their end, those together that are at the same step."""
        for lesson in lessons:
            bar.update(lesson.updates)
        while ahead := [lesson for lesson in lessons if not self._is_over(lesson)]:
            update = min(lesson.updates for lesson in ahead)
            ready = [lesson for lesson in ahead if lesson.updates == update]
            if update % LOOK_EVERY == 0:
                self._look(ready)
                bar.set_postfix(loss=f"{sum(lesson.losses[-1] for lesson in ready) / len(ready):.4f}", refresh=False)
            self._step(ready, update)
            bar.update(len(ready))
            if (update + 1) % KEEP_EVERY == 0:
                for lesson in ready:
                    self.checkpoints.keep(lesson)
        bar.update(sum(self.settings.updates - lesson.updates for lesson in lessons))  # of those that stopped early

    def _step(self, lessons: Sequence[Lesson], update: int) -> None:
        losses = self.loss(lessons, update)
        for lesson in lessons:
            lesson.optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()
        for lesson in lessons:
            lesson.optimiser.step()
            lesson.updates = update + 1

    @torch.no_grad()
    def _look(self, lessons: Sequence[Lesson]) -> None:
        """The loss of each on noises and times that are the same at every look."""
        times_P = ((torch.arange(PROBES) + 0.5) * self.times / PROBES).long()
        for lesson in lessons:
            mean_PChw = lesson.painting.mean_2Chw[:1].expand(PROBES, -1, -1, -1)
            draw = torch.Generator().manual_seed(make_seed(self.settings.seed, 0, 1))
            noise_PChw = torch.randn(mean_PChw.shape, generator=draw).to(mean_PChw.device)
            latents_PChw = self.diffusion.vae.config.scaling_factor * mean_PChw
            conditions_PTW = self._tell([lesson.word()] * PROBES)
            errors_P = prediction_errors(self.diffusion, latents_PChw, noise_PChw, times_P, conditions_PTW)
            lesson.losses.append(float(errors_P.mean()))

    def _is_over(self, lesson: Lesson) -> bool:
        patience, losses = self.settings.patience, lesson.losses
        stale = 0 < patience < len(losses) and min(losses[-patience:]) >= min(losses[:-patience])
        return lesson.updates >= self.settings.updates or stale

    def _finish(self, lesson: Lesson) -> Word:
        """The word. It is stored by others, so that the last checkpoint stays, should they not come to it."""
        self.checkpoints.keep(lesson)
        self._look([lesson])
        return Word(lesson.word().float().cpu(), lesson.losses, lesson.updates)

    @property
    def _at_once(self) -> int:
        if self.settings.paintings_at_once != "auto":
            return self.settings.paintings_at_once
        device = self.diffusion.device
        most = fit_pixels(find_memory(device), GPU_BYTES_A_PIXEL) if device.type == "cuda" else CPU_PIXELS
        return max(1, most // (self.settings.size**2 * self.settings.batch))


def prediction_errors(
    diffusion: Diffusion, latents_PChw: Tensor, noise_PChw: Tensor, times_P: Tensor, conditions_PTW: Tensor
) -> Tensor:
    """Mean squared errors, P, of the noise that the U-Net sees in noisy latents under those conditions (equation 2)."""
    times_P = times_P.to(latents_PChw.device)
    noisy_PChw = diffusion.noising.add_noise(latents_PChw, noise_PChw, times_P).to(diffusion.dtype)
    seen_PChw = diffusion.unet(noisy_PChw, times_P, conditions_PTW, return_dict=False)[0]
    return F.mse_loss(seen_PChw.float(), noise_PChw, reduction="none").mean((1, 2, 3))
