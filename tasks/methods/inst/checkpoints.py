"""Training of a painting, kept now and then in a folder, so that it goes on where it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from tasks.records import RequestError
from tasks.storage import Folder, shorten_error, storage_errors
from tasks.weights.loading import read_metadata

if TYPE_CHECKING:
    from tasks.methods.inst.inversion import Lesson

MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of AdamW, for each parameter


class Checkpoints:
    """The folder, or none. What is drawn depends on the step alone, so that weights and moments are all there is."""

    def __init__(self, uri: str | None) -> None:
        self.folder = Folder(uri) if uri else None

    def keep(self, lesson: Lesson) -> None:
        """Write where a lesson is, over what was written of it. Raises RequestError where the store fails."""
        if self.folder is None or lesson.updates == 0:
            return
        facts = json.dumps({"updates": lesson.updates, "losses": lesson.losses})
        data = save({name: tensor.contiguous() for name, tensor in _tensors(lesson).items()}, {"lesson": facts})
        try:
            self.folder.publish(_name(lesson), data, create=False)
        except storage_errors(self.folder.filesystem) as error:
            raise RequestError(
                f"Checkpoints cannot be written to {self.folder.uri} ({shorten_error(error)}): name another folder, "
                "or none."
            ) from error

    def resume(self, lesson: Lesson) -> None:
        """Bring a lesson to where it was kept, if it was. Raises RequestError where that is damaged."""
        data = None if self.folder is None else self.folder.read_or_none(_name(lesson))
        if data is None:
            return
        try:
            tensors, facts = load(data), json.loads(read_metadata(data)["lesson"])
            _fill(lesson, tensors)
        except (SafetensorError, LookupError, ValueError, RuntimeError) as error:
            assert self.folder is not None
            raise RequestError(
                f"The checkpoint {_name(lesson)} in {self.folder.uri} is damaged: delete it, and training starts anew."
            ) from error
        lesson.updates, lesson.losses = int(facts["updates"]), [float(loss) for loss in facts["losses"]]


def _name(lesson: Lesson) -> str:
    return f"{lesson.key}.safetensors"


def _tensors(lesson: Lesson) -> dict[str, Tensor]:
    named = dict(lesson.attention.named_parameters())
    moments = {
        f"{moment}.{name}": lesson.optimiser.state[parameter][moment]
        for name, parameter in named.items()
        for moment in MOMENTS
    }
    return {f"weight.{name}": parameter.detach() for name, parameter in named.items()} | moments


def _fill(lesson: Lesson, tensors: dict[str, Tensor]) -> None:
    for name, parameter in lesson.attention.named_parameters():
        with torch.no_grad():
            parameter.copy_(tensors[f"weight.{name}"])
        state = {moment: tensors[f"{moment}.{name}"] for moment in MOMENTS}
        # Where AdamW has them: beside the parameter, but for the count of steps.
        lesson.optimiser.state[parameter] = {
            moment: tensor if moment == "step" else tensor.to(parameter.device) for moment, tensor in state.items()
        }
