"""What all variants of InST share: contents to latents, and outputs painted under conditions.

Dimension key: N contents, P outputs (pairs), L letters of a prompt; C channels, h and w of a latent, H and W pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tasks.encoders.diffusion.backbone import Diffusion, find_memory, fit_pixels
from tasks.encoders.diffusion.prompts import encode_prompts
from tasks.images.padding import crop_back, pad_to_stride, padded_side
from tasks.methods.base import Content, Pairs, Representation
from tasks.methods.inst.colors import set_colors
from tasks.methods.inst.draws import draw_noise
from tasks.methods.inst.latents import decode_latents, encode_pictures, is_tiled
from tasks.methods.inst.safety import open_checker, withhold
from tasks.methods.inst.sampling import Conditions, Sampler
from tasks.methods.inst.settings import SamplingSettings
from tasks.methods.inst.tones import Tones, read_tones
from tasks.methods.regions import find_counting

# Latents at once, in pixels of their pictures: on a GPU by its memory, at a gigabyte for 512x512 with guidance, which
# is reckoned; where that is too little, the actor halves its batches.
GPU_BYTES_A_PIXEL, CPU_PIXELS = 4096, 512 * 512
END = 0  # after a prompt's letters, where others of its batch are longer


@dataclass(frozen=True)
class Wanted:
    """An output to paint, or a composite's of one reference: its place among the pairs, and its share there (HW)."""

    place: int
    row: int
    rep: Representation
    seed: int
    share_HW: Tensor | None


class Painter(ABC):
    """A method that paints with a diffusion model; how styles become conditions is its own."""

    def __init__(self, settings: SamplingSettings, diffusion: Diffusion) -> None:
        self.settings, self.diffusion = settings, diffusion
        self.checker = open_checker(settings, diffusion)

    @abstractmethod
    def conditions(self, reps: Sequence[Representation], prompts: Sequence[str | None]) -> Conditions:
        """What the U-Net is told of each output: of its style, and of its content where that is a prompt."""

    def tones(self, rep: Representation) -> Tones | None:
        """The tones of a style's paintings, by weight; None where it has none."""
        return read_tones(rep.metadata)

    def encode(self, images_NCHW: Tensor) -> Content:
        """Means and deviations of the contents' latents, NChw each; which of them is drawn is up to a pair's seed."""
        height, width = images_NCHW.shape[-2:]
        padded_NCHW = pad_to_stride(images_NCHW, self.settings.stride)
        mean, deviation = encode_pictures(self.diffusion, padded_NCHW, self._is_tiled(padded_NCHW.shape))
        return Content({"mean": mean, "deviation": deviation}, height, width)

    def encode_prompts(self, prompts: Sequence[str], height: int, width: int) -> Content:
        """Contents that are words alone: their letters in UTF-8, NL."""
        letters = [prompt.encode() for prompt in prompts]
        longest = max(map(len, letters))
        rows = [list(one) + [END] * (longest - len(one)) for one in letters]
        return Content({"prompt": torch.tensor(rows, dtype=torch.uint8)}, height, width)

    @torch.no_grad()
    def render(self, content: Content, reps: Sequence[Representation], pairs: Pairs) -> Tensor:
        """Stylize: images_PCHW in [0, 1]; one that the safety checker withheld is infinite throughout.

        A composite is painted once for each reference that counts anywhere, from the same noise, and blended by region.
        """
        wanted = list(_list_wanted(reps, pairs))
        images_PCHW = torch.zeros(len(pairs), 3, content.height, content.width, device=self.diffusion.device)
        size = [padded_side(side, self.settings.stride) for side in (content.height, content.width)]
        at_once = self._at_once(size[0] * size[1])
        for start in range(0, len(wanted), at_once):
            some = wanted[start : start + at_once]
            for one, image_CHW in zip(some, self._render(content, some, size), strict=True):
                images_PCHW[one.place] += image_CHW if one.share_HW is None else image_CHW * one.share_HW.to(image_CHW)
        return withhold(self.checker, images_PCHW)

    def _render(self, content: Content, wanted: Sequence[Wanted], size: Sequence[int]) -> Tensor:
        """Some outputs as one program."""
        draws = [torch.Generator().manual_seed(one.seed) for one in wanted]
        chosen = [one.rep for one in wanted]
        rows = content.rows(torch.tensor([one.row for one in wanted]))
        prompts = _read_prompts(rows, len(wanted))
        conditions, sampler = self.conditions(chosen, prompts), Sampler(self.diffusion, self.settings)
        if prompts[0] is None:
            latents_PChw = self._draw_contents(rows, chosen, draws)
            noise_PChw = draw_noise(draws, latents_PChw.shape[1:], self.diffusion.device)
            painted_PChw = sampler.restyle(latents_PChw, noise_PChw, conditions, draws)
        else:
            shape = (self.diffusion.unet.config.in_channels, *(side // self.diffusion.scale for side in size))
            painted_PChw = sampler.paint(draw_noise(draws, shape, self.diffusion.device), conditions, draws)
        images_PCHW = decode_latents(self.diffusion, painted_PChw, self._is_tiled(size))
        return self._finish(crop_back(images_PCHW, content.height, content.width), chosen)

    def _draw_contents(self, rows: Content, reps: Sequence[Representation], draws: Sequence[torch.Generator]) -> Tensor:
        """Scaled latents of the contents, PChw, each drawn by its pair; in the painting's tones where that is asked."""
        mean_PChw, deviation_PChw = rows.tensors["mean"], rows.tensors["deviation"]
        drawn_PChw = mean_PChw + deviation_PChw * draw_noise(draws, mean_PChw.shape[1:], mean_PChw.device)
        latents_PChw = self.diffusion.vae.config.scaling_factor * drawn_PChw
        if self.settings.tone != "latent_adain":
            return latents_PChw
        toned = zip(latents_PChw.split(1), map(self.tones, reps), strict=True)
        return torch.cat([one if tones is None else tones.give(one) for one, tones in toned])

    def _finish(self, images_PCHW: Tensor, reps: Sequence[Representation]) -> Tensor:
        if self.settings.tone != "lab_match":
            return images_PCHW
        tones = map(self.tones, reps)
        pairs = zip(images_PCHW, tones, strict=True)
        return torch.stack([one if tone is None else set_colors(one, *tone.colors_23) for one, tone in pairs])

    @cached_property
    def _unwanted_1TW(self) -> Tensor:
        return encode_prompts(self.diffusion, [self.settings.negative_prompt], [None])

    def _is_tiled(self, shape: Sequence[int]) -> bool:
        return is_tiled(self.settings.tiling, shape[-2], shape[-1])

    def _at_once(self, pixels: int) -> int:
        if self.settings.pairs_at_once != "auto":
            return self.settings.pairs_at_once
        device = self.diffusion.device
        on_gpu = device.type == "cuda"
        return max(1, (fit_pixels(find_memory(device), GPU_BYTES_A_PIXEL) if on_gpu else CPU_PIXELS) // pixels)


def join_apart(mixed: Representation, apart: Sequence[Representation]) -> Representation:
    """A composite's representation: of all its references mixed, and of each, whose names begin with its number."""
    tensors, metadata = dict(mixed.tensors), dict(mixed.metadata)
    for r, rep in enumerate(apart):
        tensors |= {f"{r}.{name}": tensor for name, tensor in rep.tensors.items()}
        metadata |= {f"{r}.{name}": value for name, value in rep.metadata.items()}
    return Representation(tensors, metadata)


def take_apart(rep: Representation, count: int) -> list[Representation]:
    """What `join_apart` had of each reference."""
    parts = []
    for start in (f"{r}." for r in range(count)):
        tensors = {name.removeprefix(start): value for name, value in rep.tensors.items() if name.startswith(start)}
        metadata = {name.removeprefix(start): value for name, value in rep.metadata.items() if name.startswith(start)}
        parts.append(Representation(tensors, metadata))
    return parts


def _list_wanted(reps: Sequence[Representation], pairs: Pairs) -> Iterator[Wanted]:
    """Each plain pair, and each reference of each composite that counts anywhere."""
    apart: dict[int, list[Representation]] = {}
    columns = zip(pairs.contents, pairs.representations, pairs.seeds, strict=True)
    for place, (row, index, seed) in enumerate(columns):
        shares_RHW = pairs.regions[place] if pairs.regions else None
        if shares_RHW is None:
            yield Wanted(place, row, reps[index], seed, None)
            continue
        if index not in apart:
            apart[index] = take_apart(reps[index], len(shares_RHW))
        for r in find_counting(shares_RHW):
            yield Wanted(place, row, apart[index][r], seed, shares_RHW[r])


def _read_prompts(rows: Content, count: int) -> list[str | None]:
    """The prompts of contents that are words; of pictures none."""
    if "prompt" not in rows.tensors:
        return [None] * count
    letters = [bytes(row).rstrip(bytes([END])) for row in rows.tensors["prompt"].tolist()]
    return [one.decode() for one in letters]
