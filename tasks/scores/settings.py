"""Which CLIP model scores the records."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field


class ScoreSettings(BaseModel):
    """The `scores` part of a job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip: str = Field("none", description="open_clip NAME/TAG, local-dir:PATH, embedded:NAME, or none.")

    def resolve_paths(self, resolve: Callable[[str], str]) -> ScoreSettings:
        """The same settings with the path of a `local-dir:` made absolute."""
        scheme, colon, path = self.clip.partition(":")
        if scheme != "local-dir":
            return self
        return self.model_copy(update={"clip": f"{scheme}{colon}{resolve(path)}"})
