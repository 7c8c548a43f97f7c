"""How a method that is driven by pictures comes by a picture for a text."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field

from tasks.encoders.clip_models import resolve_path


class TextSettings(BaseModel):
    """The `texts` part of a method's settings; read only where a style has a text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip: str = Field(
        "embedded:clip-small", description="CLIP that reads texts: NAME/TAG, local-dir:PATH, embedded:NAME."
    )
    steps: int = Field(60, ge=1, le=10_000, description="Steps of the optimisation of a picture for each text.")
    starts: int = Field(256, ge=1, le=10_000, description="Random pictures of which the best starts the optimisation.")
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of the first picture and of the crops.")

    def resolve_paths(self, resolve: Callable[[str], str]) -> TextSettings:
        """The same settings with the path of a `local-dir:` made absolute."""
        return self.model_copy(update={"clip": resolve_path(self.clip, resolve)})
