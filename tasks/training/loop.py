"""The training loop of the networks we ship: schedule, moving average, checkpoints, exact resume, sheets."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import torch
from PIL import Image
from pydantic import Field
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from tasks.encoders.placement import Precision, autocast
from tasks.records import RequestError
from tasks.training.history import LossLog
from tasks.training.peers import Alone, Peers
from tasks.weights.loading import layout_of

CHECKPOINT = "checkpoint.safetensors"
MOST_PROCESSES = 8  # that draw where it is left to us: a batch of the small CLIP takes one of them 0.3 s, a GPU 0.03 s
ALONE = Alone()


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast to train, and what to write on the way."""

    steps: int = 10_000
    learning_rate: float = 1e-3
    final_learning_rate: float = 2e-5  # reached along a cosine at the last step
    warmup_steps: int = 100
    average_decay: float = 0.999  # of the moving average of the weights, which is what gets exported
    clip_norm: float = 5.0
    device: str = "auto"
    precision: Precision = "auto"  # of the arithmetic, weights stay float32; auto: bfloat16 on a GPU
    # Processes that draw batches; 0: a thread of this one. auto: 0 where the cores train, else one a core, at most 8
    draw_processes: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    checkpoint_seconds: float = 180.0
    log_steps: int = 50
    sheet_steps: int = 1_000


class Recipe(Protocol):
    """What is trained: a network, the data of each step, the loss on it, and a picture of how it goes."""

    @property
    def network(self) -> nn.Module:
        """What the steps change; made by the recipe, so that its seed decides the first weights."""

    def draw(self, step: int) -> dict[str, Tensor]:
        """The batch of a step, a function of the step alone. Process r of n draws number n * step + r as its share."""

    def loss(self, network: nn.Module, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and its named parts."""

    def sheet(self, network: nn.Module) -> Tensor:
        """A picture 3HW in [0, 1] of the network at work."""

    def describe(self) -> dict[str, Any]:
        """Data and settings, as JSON takes them: kept in the checkpoint, and later on the card."""


def train(
    recipe: Recipe, settings: LoopSettings, folder: Path, resume: bool = False, peers: Peers = ALONE
) -> TrainingState:
    """Train the recipe's network up to `settings.steps` in `folder`; the state's `average` is what to use.

    `resume` goes on from the checkpoint in `folder`, if there is one, as if the run had never stopped. Of several
    `peers`, rank 0 alone reads and writes there; a step takes a batch of each. RequestError where a checkpoint is
    there and `resume` was not asked for, and where a step's loss is not finite: the checkpoint is then of before.
    """
    state = TrainingState(recipe.network, settings, recipe.describe(), peers.count)
    first = peers.rank == 0
    if first:
        prepare_folder(folder, resume)
    if first and (folder / CHECKPOINT).exists():
        state.load(folder / CHECKPOINT)
    if peers.count > 1:
        state.restore(*peers.share((state.step, state.phases, state.tensors(torch.device("cpu")))))
    run_steps(recipe, state, settings, folder, peers)
    if first:
        state.save(folder / CHECKPOINT)
    return state


def prepare_folder(folder: Path, resume: bool) -> None:
    """Make the folder of a run. RequestError where a checkpoint is there that nobody asked to go on from."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / CHECKPOINT).exists() and not resume:
        raise RequestError(f"{folder} holds a checkpoint: resume from it, or name another folder")


class TrainingState:
    """All that a step changes: weights, their moving average, the optimiser's moments, the count of steps."""

    def __init__(self, network: nn.Module, settings: LoopSettings, recipe: dict[str, Any], workers: int = 1) -> None:
        self.device = choose_device(settings.device)
        self.network = move(network, self.device)
        self.average = deepcopy(self.network).eval().requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        self.settings = settings
        self.step = 0
        phase = {"from_step": 0, "loop": asdict(settings), "recipe": recipe}
        phase |= {"workers": workers} if workers > 1 else {}
        self.phases = [json.loads(json.dumps(phase))]  # as it will be read back, to compare

    def tensors(self, device: torch.device | None = None) -> dict[str, Tensor]:
        """Everything but the count of steps, by name; contiguous, so that it can be written or sent."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in moments.items()}
        return {name: value.detach().to(device).contiguous() for name, value in tensors.items()}

    def save(self, path: Path) -> None:
        """One file, replaced at once: a run killed while saving keeps the checkpoint before."""
        metadata = {"step": str(self.step), "phases": json.dumps(self.phases)}
        part = path.with_suffix(".part")
        save_file(self.tensors(), part, metadata)
        os.replace(part, path)

    def load(self, path: Path) -> None:
        """Weights, average, moments and step of a checkpoint of the same network."""
        with safe_open(path, "pt") as file:
            step = int(file.metadata()["step"])
            phases = join_phases(json.loads(file.metadata()["phases"]), self.phases[0], step)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        self.restore(step, phases, tensors)

    def restore(self, step: int, phases: list[dict[str, Any]], tensors: dict[str, Tensor]) -> None:
        """Stand where another state of the same network stood. RequestError where it is another one's."""
        if layout_of(self.network.state_dict()) != layout_of(strip(tensors, "network.")):
            raise RequestError("the checkpoint is of another network: resume with its settings, or name another folder")
        self.step, self.phases = step, phases
        self.network.load_state_dict(strip(tensors, "network."))
        self.average.load_state_dict(strip(tensors, "average."))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in strip(tensors, "optimiser.").items():
            index, moment = name.split(".")
            moments.setdefault(int(index), {})[moment] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": moments})

    def apply(self, losses: Mapping[str, Tensor], peers: Peers = ALONE) -> tuple[dict[str, Tensor], Tensor]:
        """One step of the optimiser and of the moving average, down the gradient of `losses["loss"]`.

        Returns the losses and the norm of the gradient, as means over the peers.
        """
        means, norm = self.descend(losses, peers)
        self.advance()
        return means, norm

    def descend(self, losses: Mapping[str, Tensor], peers: Peers = ALONE) -> tuple[dict[str, Tensor], Tensor]:
        """The optimiser's part of a step. A group of parameters with a `scale` has so many times the rate."""
        rate = learning_rate(self.step, self.settings)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        self.optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        means = peers.average(trained, losses)
        norm = nn.utils.clip_grad_norm_(trained, self.settings.clip_norm)
        self.optimiser.step()
        return means, norm

    def advance(self) -> None:
        """Count the step, and move the average."""
        self.step += 1
        self.follow()

    def follow(self) -> None:
        """Move the average towards the network's values now."""
        decay = min(self.settings.average_decay, self.step / (self.step + 10))  # first steps soon forgotten
        with torch.no_grad():
            # Running statistics are averaged too: those of the network now are not those of its average.
            values = self.network.state_dict()
            for name, mean in self.average.state_dict().items():
                if mean.is_floating_point():
                    mean.lerp_(values[name], 1 - decay)
                else:
                    mean.copy_(values[name])


def join_phases(earlier: list[dict[str, Any]], now: dict[str, Any], step: int) -> list[dict[str, Any]]:
    """The phases of a run, one more where it is resumed with other settings or data."""
    same = {**earlier[-1], "from_step": 0} == now
    return earlier if same else [*earlier, {**now, "from_step": step}]


def run_steps(recipe: Recipe, state: TrainingState, settings: LoopSettings, folder: Path, peers: Peers) -> None:
    """The steps from the state's own to the last, with progress on stderr."""
    saved, first = time.monotonic(), peers.rank == 0
    log = LossLog(folder if first else None)
    bar = tqdm(total=settings.steps, initial=state.step, unit="step", mininterval=10, disable=not first)
    numbers = range(state.step * peers.count + peers.rank, settings.steps * peers.count, peers.count)
    for batch in draw_ahead(recipe, numbers, count_processes(settings, state.device)):
        on_device = {name: place(value, state.device) for name, value in batch.items()}
        with autocast(state.device, settings.precision):
            loss, parts = recipe.loss(state.network, on_device, state.step)
        log.add(state.step + 1, *state.apply({"loss": loss, **parts}, peers))
        bar.update()
        if state.step % settings.log_steps == 0:
            log.check()
            bar.set_postfix(log.write(state.step), refresh=False)
        if first and state.step % settings.sheet_steps == 0:
            log.check()
            log.draw()
            write_sheet(folder / f"sheet-{state.step:06d}.png", recipe.sheet(state.average))
        if first and time.monotonic() - saved > settings.checkpoint_seconds:
            log.check()
            state.save(folder / CHECKPOINT)
            saved = time.monotonic()
    log.check()
    log.draw()
    bar.close()


@dataclass(frozen=True)
class Draws(Dataset[dict[str, Tensor]]):
    """A recipe's batches by number, as a DataLoader takes them."""

    recipe: Recipe

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return self.recipe.draw(number)


def draw_ahead(recipe: Recipe, numbers: range, processes: int) -> Iterable[dict[str, Tensor]]:
    """The batches of these numbers, in order, drawn while earlier ones are used."""
    if processes:
        # Forked, so that pictures and renders are shared and not copied; what draws has nothing to do with a GPU.
        ahead = {"num_workers": processes, "multiprocessing_context": "fork", "pin_memory": torch.cuda.is_available()}
        return DataLoader(Draws(recipe), batch_size=None, sampler=numbers, **ahead)  # type: ignore[arg-type]
    return draw_in_thread(recipe, numbers)


def draw_in_thread(recipe: Recipe, numbers: range) -> Iterator[dict[str, Tensor]]:
    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(recipe.draw, number) for number in numbers[:1]]
        for number in numbers:
            batch = coming.pop().result()
            coming += [pool.submit(recipe.draw, number + numbers.step)] if number != numbers[-1] else []
            yield batch


def count_processes(settings: LoopSettings, device: torch.device) -> int:
    """How many processes draw."""
    if settings.draw_processes != "auto":
        return settings.draw_processes
    return 0 if device.type == "cpu" else min(MOST_PROCESSES, os.cpu_count() or 1)


def learning_rate(step: int, settings: LoopSettings) -> float:
    """Linear warm-up, then a cosine to the final rate."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    progress = min(1.0, (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps))
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return settings.final_learning_rate + (settings.learning_rate - settings.final_learning_rate) * cosine


def write_sheet(path: Path, image_CHW: Tensor) -> None:
    pixels_HWC = (image_CHW.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    Image.fromarray(pixels_HWC).save(path)


def place(value: Tensor, device: torch.device) -> Tensor:
    """On the device, pictures channels last: on CPUs too, convolutions run up to twice as fast on that layout."""
    layout = torch.channels_last if value.ndim == 4 else torch.preserve_format
    return value.to(device, memory_format=layout, non_blocking=True)


def move(network: nn.Module, device: torch.device) -> nn.Module:
    """The network itself, placed as `place` places images."""
    network.to(device)
    return network.to(memory_format=torch.channels_last)


def choose_device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
