"""The optimisation of many pairs at once: each has a U-Net, an Adam and crops of its own, all in one program.

Dimension key: P pairs, K crops, D embedding, C channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.encoders.clip import ClipEncoder
from tasks.encoders.placement import autocast
from tasks.encoders.taps import Extractor
from tasks.losses.clip import embed_crops, embed_pixels, unit_directions
from tasks.losses.crops import Crops, draw_crops
from tasks.losses.perceptual import structure_losses, variation_norms
from tasks.losses.taps import TapLoss
from tasks.methods.bars import tell
from tasks.methods.base import Content
from tasks.methods.clipstyler.directions import Targets
from tasks.methods.clipstyler.settings import OptimizeSettings
from tasks.methods.clipstyler.unet import Networks, render_networks

HALVING, WINDOW = 100, 20  # updates: of the learning rate (StepLR in train_CLIPstyler.py); of a plateau


@dataclass(frozen=True)
class Judge:
    """What an output is looked at with."""

    encoder: ClipEncoder
    extract: Extractor
    content_loss: TapLoss


class Objective:
    """What P outputs are to become. `content` has a row for each: its image, CLIP embedding and features by tap."""

    def __init__(self, content: Content, targets: Sequence[Targets], judge: Judge, settings: OptimizeSettings) -> None:
        self.content, self.targets, self.judge, self.settings = content, list(targets), judge, settings
        rows: dict[int, list[int]] = {}
        for row, style in enumerate(targets):
            rows.setdefault(id(style), []).append(row)
        self.by_style = [(targets[own[0]], own) for own in rows.values()]  # one call each, however many pairs
        self.order_P = torch.tensor([row for own in rows.values() for row in own]).argsort().to(self.images_PCHW.device)

    @property
    def images_PCHW(self) -> Tensor:
        return self.content.tensors["image"]

    def render(self, networks: Networks) -> Tensor:
        """What the networks make of the contents now: images_PCHW in (0, 1)."""
        with autocast(self.images_PCHW.device, self.settings.precision):
            return render_networks(networks, self.images_PCHW)

    def losses(self, outputs_PCHW: Tensor, crops: Crops) -> dict[str, Tensor]:
        """`direction`, `patch`, `content`, `variation` and, where it counts, `structure`: P, without their weights."""
        content, judge = self.content.tensors, self.judge
        sources_PD = content["embedding"]
        with autocast(outputs_PCHW.device, self.settings.precision):
            whole_PD = embed_pixels(judge.encoder, outputs_PCHW)
            patches_PKD = embed_crops(judge.encoder, outputs_PCHW, crops)
            features = judge.extract(outputs_PCHW)
        whole_PD = unit_directions(whole_PD, sources_PD)
        patches_PKD = unit_directions(patches_PKD, sources_PD[:, None])
        losses = {
            "direction": self._towards(lambda targets, rows: targets.whole_losses(whole_PD[rows])),
            "patch": self._towards(
                lambda targets, rows: targets.patch_losses(patches_PKD[rows], self.settings.threshold)
            ),
            "content": judge.content_loss(features, content),
            "variation": variation_norms(outputs_PCHW),
        }
        if self.settings.structure_weight:
            losses["structure"] = structure_losses(outputs_PCHW, self.images_PCHW)
        return losses

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """The weighted sum (equation 5; the structure is ours), P."""
        return torch.stack([getattr(self.settings, f"{name}_weight") * loss_P for name, loss_P in losses.items()]).sum(
            0
        )

    def keep(self, rows: Sequence[int]) -> Objective:
        """That of some of the outputs."""
        targets = [self.targets[row] for row in rows]
        return Objective(self.content.rows(torch.tensor(rows)), targets, self.judge, self.settings)

    def _towards(self, loss: Callable[[Targets, list[int]], Tensor]) -> Tensor:
        """A loss of the rows of each style, in the order of the pairs: P."""
        return torch.cat([loss(targets, rows) for targets, rows in self.by_style])[self.order_P]


class Optimisation:
    """P pairs under way: a network, an Adam's state and an output each."""

    def __init__(self, networks: Networks, objective: Objective) -> None:
        self.objective, self.settings = objective, objective.settings
        self.networks = {name: tensor.requires_grad_() for name, tensor in networks.items()}
        self.optimiser = torch.optim.Adam(self.networks.values(), lr=self.settings.learning_rate)
        self.updates = 0

    def render(self) -> Tensor:
        """What the networks make of their contents now: images_PCHW in (0, 1)."""
        return self.objective.render(self.networks)

    def step(self, crops: Crops) -> Tensor:
        """One update of every pair; the totals_P before it."""
        totals_P = self.objective.total(self.objective.losses(self.render(), crops))
        self.optimiser.zero_grad(set_to_none=True)
        totals_P.sum().backward()
        self.updates += 1
        for group in self.optimiser.param_groups:  # the authors' schedule steps before the first update
            group["lr"] = self.settings.learning_rate * 0.5 ** (self.updates // HALVING)
        self.optimiser.step()
        return totals_P.detach()

    def keep(self, rows: Sequence[int]) -> Optimisation:
        """The optimisation of some of the pairs, as far as it has come."""
        on_device = torch.tensor(rows).to(self.objective.images_PCHW.device)
        networks = {name: tensor.detach()[on_device] for name, tensor in self.networks.items()}
        kept = Optimisation(networks, self.objective.keep(rows))
        kept.updates = self.updates
        for name, tensor in self.networks.items():
            state = self.optimiser.state[tensor]
            kept.optimiser.state[kept.networks[name]] = {
                key: value[on_device] if value.dim() else value for key, value in state.items()
            }
        return kept


def optimise(whole: Optimisation, generators: Sequence[torch.Generator]) -> Tensor:
    """Optimise every pair to the end: images_PCHW. A pair's crops come from its own generator (on the CPU).

    With a plateau a pair ends as soon as its mean loss over 20 steps fell too little; the others go on without it.
    """
    settings = whole.settings
    height, width = whole.objective.images_PCHW.shape[-2:]
    images: list[Tensor] = [torch.empty(0)] * len(generators)
    running, places, history = whole, list(range(len(generators))), []
    for step in range(settings.steps - 1):
        tell(f"optimising pictures: step {step} of {settings.steps}")
        drawn = draw_crops([generators[place] for place in places], settings.crops, settings.crop_size, (height, width))
        history.append(running.step(drawn))
        if not settings.plateau or len(history) % WINDOW or len(history) < 2 * WINDOW:
            continue
        going = find_falling(history, settings.plateau)
        if len(going) < len(places):
            collect(running, places, [row for row in range(len(places)) if row not in going], images)
            if not going:
                return torch.stack(images)
            running, places = running.keep(going), [places[row] for row in going]
            history = [totals_P[going] for totals_P in history[-WINDOW:]]
    collect(running, places, range(len(places)), images)
    return torch.stack(images)


@torch.no_grad()
def collect(running: Optimisation, places: Sequence[int], rows: Sequence[int], images: list[Tensor]) -> None:
    """Put the outputs of some rows where they belong, rendered in float32: bfloat16 is as coarse as 8 bits."""
    outputs_PCHW = render_networks(running.networks, running.objective.images_PCHW)
    for row in rows:
        images[places[row]] = outputs_PCHW[row]


def find_falling(history: Sequence[Tensor], share: float) -> list[int]:
    """Rows whose mean loss over the last 20 steps is lower than over the 20 before by more than a share of it."""
    before_P, last_P = (torch.stack(list(part)).mean(0) for part in (history[-2 * WINDOW : -WINDOW], history[-WINDOW:]))
    return (last_P < (1 - share) * before_P).nonzero()[:, 0].tolist()
