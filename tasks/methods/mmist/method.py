"""MMIST behind the three verbs: pictures by inversion, then whatever renders with pictures.

Dimension key: P outputs (pairs), R references of the renderer's style, E pictures of a part of a style, H and W pixels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from tasks.encoders.clip import open_clip_model
from tasks.methods.base import Content, Method, Pairs, Reference, Representation, Style
from tasks.methods.mmist.generators import open_pictures
from tasks.methods.mmist.goals import GoalReader
from tasks.methods.mmist.inversion import Found, Inverter
from tasks.methods.mmist.settings import MmistSettings
from tasks.methods.pictures import from_bytes, to_bytes
from tasks.methods.settings import open_method as open_renderer

# Pictures that vary less are sought again; the authors drop them when they render (test options of their AdaAttN).
FLAT = 0.03
ATTEMPTS = 3  # at a picture that is not flat; a style may be flat itself
COUNTS = "pictures"  # of each part of a style, in the metadata of its representation
LEAST_RANGE = 1e-5  # of a picture that is stretched to all shades (torchvision's save_image)


def open_method(settings: MmistSettings, device: str = "cpu") -> MmistMethod:
    """The method of these settings. Raises RequestError where weights are missing, or another network's."""
    return MmistMethod(settings, open_renderer(settings.render_with, device), torch.device(device))


class MmistMethod:
    """`invert` is slow, and what it makes does not depend on the renderer; the rest is the renderer's."""

    def __init__(self, settings: MmistSettings, renderer: Method, device: torch.device) -> None:
        self.settings, self.renderer, self.device = settings, renderer, device

    def invert(self, styles: Sequence[Style]) -> list[Representation]:
        """For each style `pictures` (uint8, E3SS) and their `latents`, all styles' as one batch.

        Metadata: the losses before and after, and how often each picture was sought.
        """
        if not styles:
            return []
        reader, inverter = self._inverter
        wanted = [(style, number) for style in range(len(styles)) for number in range(self.settings.representations)]
        found: dict[tuple[int, int], list[Found]] = {place: [] for place in wanted}
        for attempt in range(ATTEMPTS):
            goals = [reader.read(styles[s], number, self.settings.seed + attempt, s) for s, number in wanted]
            for place, one in zip(wanted, inverter.invert(goals, _names(styles)), strict=True):
                found[place].append(one)
            wanted = [place for place in wanted if _spread(found[place][-1]) < FLAT]
            if not wanted:
                break
        return [_keep([tries for (s, _), tries in found.items() if s == style]) for style in range(len(styles))]

    def represent(self, styles: Sequence[Style]) -> list[Representation]:
        """The renderer's representation of the styles' pictures."""
        parts = [style.inverted(self.settings.inverts) for style in styles]
        inverted = iter(self.invert([part for some in parts for part in some]))
        return self.represent_inverted(styles, [[next(inverted) for _ in some] for some in parts])

    def represent_inverted(
        self, styles: Sequence[Style], inverted: Sequence[Sequence[Representation]]
    ) -> list[Representation]:
        """The second half: for each style what `invert` made of each of its parts; and of how many pictures each is."""
        made = [self._as_pictures(style, parts) for style, parts in zip(styles, inverted, strict=True)]
        reps = self.renderer.represent([style for style, _ in made])
        return [
            Representation(rep.tensors, {**rep.metadata, COUNTS: json.dumps(counts)})
            for rep, (_, counts) in zip(reps, made, strict=True)
        ]

    def encode(self, images_NCHW: Tensor) -> Content:
        """The renderer's."""
        return self.renderer.encode(images_NCHW)

    def render(self, content: Content, reps: Sequence[Representation], pairs: Pairs) -> Tensor:
        """The renderer's: images_PCHW in [0, 1]. A reference's share of a place is split among its pictures."""
        spread: dict[tuple[int, int], Tensor] = {}
        regions: list[Tensor | None] = []
        for index, shares_RHW in zip(pairs.representations, pairs.regions, strict=False):
            place = (index, id(shares_RHW))
            if shares_RHW is not None and place not in spread:
                spread[place] = spread_shares(shares_RHW, json.loads(reps[index].metadata[COUNTS]))
            regions.append(spread.get(place))
        return self.renderer.render(content, reps, replace(pairs, regions=regions))

    @cached_property
    def _inverter(self) -> tuple[GoalReader, Inverter]:
        """Opened where there is something to invert: CLIP, the photographs and the generator."""
        encoder = open_clip_model(self.settings.clip, str(self.device))
        reader = GoalReader(encoder, self.settings)
        generator = open_pictures(self.settings, reader.contents_C3SS)
        return reader, Inverter(generator, encoder, reader.contents, self.settings)

    def _as_pictures(self, style: Style, inverted: Sequence[Representation]) -> tuple[Style, list[int]]:
        """The style with pictures in the place of its references, and how many stand for each of its parts."""
        if len(inverted) != len(style.inverted(self.settings.inverts)):
            raise ValueError("what was inverted is not of this style's parts")
        references, counts, made = list[Reference](), list[int](), iter(inverted)
        for part in style.parts():
            before = len(references)
            sought = sum(reference.weight for reference in part.references if self.settings.inverts(reference.text))
            if sought:
                pictures_E3SS = next(made).tensors["pictures"]
                share = sought / len(pictures_E3SS)
                references += [Reference(share, from_bytes(picture_3SS)) for picture_3SS in pictures_E3SS]
            references += [reference for reference in part.references if not self.settings.inverts(reference.text)]
            counts.append(len(references) - before)
        return Style(style.name, tuple(references), style.composite), counts


def spread_shares(shares_RHW: Tensor, counts: Sequence[int]) -> Tensor:
    """Each reference's share split evenly among the pictures that stand for it."""
    counts_R = torch.tensor(counts, device=shares_RHW.device)
    return (shares_RHW / counts_R[:, None, None]).repeat_interleave(counts_R, 0)


def stretch(picture_3SS: Tensor) -> Tensor:
    """The picture with its darkest value black and its lightest white, as the authors save it (save_image)."""
    low, high = picture_3SS.min(), picture_3SS.max()
    return (picture_3SS - low) / (high - low).clamp_min(LEAST_RANGE)


def _spread(found: Found) -> float:
    return float(stretch(found.picture_3SS).std())


def _keep(pictures: Sequence[Sequence[Found]]) -> Representation:
    """Each picture of a style at its last try, or the most varied one where all were flat."""
    best = [tries[-1] if _spread(tries[-1]) >= FLAT else max(tries, key=_spread) for tries in pictures]
    pictures_E3SS = torch.stack([to_bytes(stretch(one.picture_3SS)) for one in best])
    latents = torch.stack([one.latent.cpu() for one in best])
    metadata = {
        "first_losses": [round(one.first_loss, 5) for one in best],
        "last_losses": [round(one.last_loss, 5) for one in best],
        "tries": [len(tries) for tries in pictures],
    }
    return Representation(
        {"pictures": pictures_E3SS, "latents": latents}, {name: json.dumps(value) for name, value in metadata.items()}
    )


def _names(styles: Sequence[Style]) -> str:
    """What a bar says that is being inverted."""
    first = styles[0].name[:40]
    return first if len(styles) == 1 else f"{first} and {len(styles) - 1} more"
