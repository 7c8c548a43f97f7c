"""How a run goes: its losses as lines of JSON, as curves to look at, and a stop where they are no numbers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks.records import RequestError
from tasks.report.curves import Curve, render_curves

LOSSES = "losses.jsonl"
CURVES = "losses.html"
NEVER = 2**62  # later than any step


class LossLog:
    """Means of the losses since the last line, one line of JSON at a time, in `folder`; None writes nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.first_bad: Tensor | None = None

    def add(self, step: int, losses: Mapping[str, Tensor], norm: Tensor) -> None:
        """Count the losses of a step and note, without waiting for the device, whether it was finite.

        A gradient can overflow where the loss does not, so its `norm` is looked at too.
        """
        self.sums = {name: value + self.sums.get(name, 0) for name, value in losses.items()}
        self.count += 1
        bad = torch.where(torch.isfinite(losses["loss"] + norm), NEVER, step)
        self.first_bad = bad if self.first_bad is None else torch.minimum(self.first_bad, bad)

    def check(self) -> None:
        """RequestError naming the first step that was not finite: asked before a checkpoint keeps what came of it."""
        first = NEVER if self.first_bad is None else int(self.first_bad)
        if first < NEVER:
            raise RequestError(
                f"the loss or its gradient is not finite at step {first}: "
                "lower the learning rate, and resume from the checkpoint before it"
            )

    def write(self, step: int) -> dict[str, float]:
        """Append the means, and return them."""
        means = {name: round(float(value) / self.count, 5) for name, value in self.sums.items()}
        if self.folder:
            with (self.folder / LOSSES).open("a") as file:
                file.write(json.dumps({"step": step, "time": round(time.time(), 1), **means}) + "\n")
        self.sums, self.count = {}, 0
        return means

    def draw(self) -> None:
        """Write the curves of all lines so far."""
        if self.folder:
            (self.folder / CURVES).write_text(draw_curves(self.folder), encoding="utf-8")


def read_losses(path: Path) -> list[dict[str, float]]:
    """The lines of a log, by rising steps; what a killed run wrote after its checkpoint gives way to the resumed one.

    A line that was cut short is passed over. Empty where there is no log.
    """
    lines: list[dict[str, float]] = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        line: dict[str, Any] = {}
        with suppress(ValueError):
            line = json.loads(text)
        if isinstance(line, dict) and "step" in line:
            while lines and lines[-1]["step"] >= line["step"]:
                lines.pop()
            lines.append(line)
    return lines


def draw_curves(folder: Path) -> str:
    """The page of curves of the run in a folder: one a named loss, the total first."""
    lines = read_losses(folder / LOSSES)
    names = dict.fromkeys(name for line in lines for name in line if name not in ("step", "time"))
    curves = []
    for name in names:
        points = [(int(line["step"]), line[name]) for line in lines if name in line]
        curves.append(Curve(name, tuple(points)))
    return render_curves(folder.resolve().name, curves)
