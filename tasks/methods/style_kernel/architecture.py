"""The numbers of a StyleKernel network that its authors' public text leaves open; no torch here.

Each is a choice of ours, with its reason in NOTES.md. Weights fit the architecture that they were trained in.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Architecture(BaseModel):
    """Sizes of the parts between an encoder and a decoder. The defaults are those over VGG."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    taps: int = Field(default=3, ge=1, le=15, description="Of a column and of a row of every kernel; odd.")
    layers: int = Field(
        default=2, ge=1, le=8, description="Kernels applied one after another, shuffled after the first."
    )
    group: int = Field(default=16, ge=1, description="Channels that share a kernel; divides the channels it is for.")
    hidden: int = Field(default=128, ge=1, description="Channels between the two convolutions that make kernels.")
    key_depth: int = Field(default=512, ge=1, description="Channels of a query and of a key of the alignment.")
    restore_statistics: bool = Field(
        default=True, description="Convolved features get the means and deviations of the style, as in AdaIN."
    )

    @model_validator(mode="after")
    def _has_a_central_tap(self) -> Self:
        if self.taps % 2 == 0:
            raise ValueError(f"{self.taps} taps have no central one: write an odd number")
        return self


ARCHITECTURES: dict[Literal["small", "vgg"], Architecture] = {
    "small": Architecture(taps=5, group=8, hidden=96, key_depth=64),
    "vgg": Architecture(),
}
