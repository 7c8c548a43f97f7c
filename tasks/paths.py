"""Paths between two styles: so many styles in between, each a mixture of both."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tasks.labelled.wording import quote
from tasks.records import RequestError
from tasks.style_settings import PathStep, StepSettings, StyleSettings
from tasks.styles import is_composite

MOST_STEPS = 48  # each is a style of its own, and a hundredth is the smallest difference that a name tells


class PathSettings(BaseModel):
    """A path as a job names it: `{path: [fire, wave], steps: 3}` is fire-to-wave-25, -50 and -75."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: tuple[str, str] = Field(description="Names of the two styles it goes between; both are in the job.")
    steps: int = Field(3, ge=1, le=MOST_STEPS, description="Styles between the two, at equal distances.")

    @field_validator("path")
    @classmethod
    def _ends_differ(cls, ends: tuple[str, str]) -> tuple[str, str]:
        if ends[0] == ends[1]:
            raise ValueError("a path goes between two different styles")
        return ends

    def names(self) -> list[str]:
        """Of the styles in between: the ends', and how many hundredths of the way."""
        start, end = self.path
        return [f"{start}-to-{end}-{round(100 * at):02d}" for at in self._places()]

    def expand(self, styles: Mapping[str, StyleSettings]) -> list[StepSettings]:
        """The styles in between: all references of both, weighted by where on the path they are.

        A method mixes them as it mixes references; one that inverts does so the ends, once, and mixes their pictures.
        Raises RequestError where an end is no style of the job, or the two cannot be mixed.
        """
        start, end = (self._find(name, styles) for name in self.path)
        if start.method != end.method:
            raise RequestError(
                f"The path from {quote(start.name)} to {quote(end.name)} needs one method: set the same."
            )
        return [_mix(name, start, end, at) for name, at in zip(self.names(), self._places(), strict=True)]

    def _places(self) -> list[float]:
        return [step / (self.steps + 1) for step in range(1, self.steps + 1)]

    def _find(self, name: str, styles: Mapping[str, StyleSettings]) -> StyleSettings:
        found = styles.get(name)
        if found is None:
            known = ", ".join(sorted(styles)[:12])
            raise RequestError(f"A path names the style {quote(name)}, which the job has not: it has {known}.")
        if is_composite(found):
            raise RequestError(f"A path goes between whole styles, and {quote(name)} has regions: leave them out.")
        return found


def _mix(name: str, start: StyleSettings, end: StyleSettings, at: float) -> StepSettings:
    references = []
    for style, share in ((start, 1 - at), (end, at)):
        total = sum(reference.weight for reference in style.references)
        references += [one.model_copy(update={"weight": share * one.weight / total}) for one in style.references]
    step = PathStep(start=start.name, end=end.name, at=round(at, 6), references=len(start.references))
    return StepSettings(name=name, references=tuple(references), method=start.method, step=step)
