"""Which CLIP model scores the records, and which other one judges what the first may have been optimised for."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field

from tasks.encoders.clip_models import resolve_path


class ScoreSettings(BaseModel):
    """The `scores` part of a job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip: str = Field("embedded:clip-small", description="open_clip NAME/TAG, local-dir:PATH, embedded:NAME, or none.")
    judge: str = Field(
        "embedded:clip-judge-small",
        description="A second CLIP, named like `clip` and in no loss, that a report asks whether the styles arrived.",
    )

    def resolve_paths(self, resolve: Callable[[str], str]) -> ScoreSettings:
        """The same settings with the paths of any `local-dir:` made absolute."""
        return self.model_copy(
            update={"clip": resolve_path(self.clip, resolve), "judge": resolve_path(self.judge, resolve)}
        )
