"""The methods there are: the union of their settings, and the way from settings to a method."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, get_args

from pydantic import Field

from tasks.methods.adaattn.settings import AdaattnSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.methods.clipstyler.settings import AnyClipstyler, FastSettings, OptimizeSettings
from tasks.methods.inst.settings import AdapterSettings, AnyInst, InversionSettings
from tasks.methods.mmist.settings import MmistSettings
from tasks.methods.style_kernel.settings import StyleKernelSettings

if TYPE_CHECKING:
    from tasks.methods.base import Method

AnySettings = (
    AdainSettings
    | AdaattnSettings
    | StyleKernelSettings
    | OptimizeSettings
    | FastSettings
    | MmistSettings
    | InversionSettings
    | AdapterSettings
)
METHODS: tuple[str, ...] = tuple(
    dict.fromkeys(settings.model_fields["name"].default for settings in get_args(AnySettings))
)
MethodSettings = Annotated[
    AdainSettings | AdaattnSettings | StyleKernelSettings | MmistSettings | AnyClipstyler | AnyInst,
    Field(discriminator="name"),
]


def open_method(settings: MethodSettings, device: str = "cpu") -> Method:
    """The method of these settings on a device, its weights loaded.

    Only here is a method's code, and torch, imported: tasks/methods/<name>/method.py has an `open_method`.
    Raises RequestError where its weights are missing, unsafe or of another network.
    """
    method: Method = import_module(f"tasks.methods.{settings.name}.method").open_method(settings, device)
    return method
