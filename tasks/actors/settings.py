"""Resources of a run: how many actors, and what each takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# Ten times what the slowest store may take for one request of a usual size.
STALLED_SECONDS = 600.0


class ResourceSettings(BaseModel):
    """What actors take of the cluster. Changing it changes no pixel and no dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actors: int | Literal["auto"] = Field("auto", description="Actors; auto: as many as the cluster holds.")
    gpus_per_actor: float | Literal["auto"] = Field(
        "auto",
        description="Share of a GPU for each actor: 0.5 packs two on one, 0 is CPU; auto: 1 where there are any.",
    )
    cpus_per_actor: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="CPU threads of an actor: torch's, and as many for codecs; auto: 1, or beside a GPU its part "
        "of the cores.",
    )
    batch_megapixels: float | Literal["auto"] = Field(
        "auto", description="Pixels in one pass through a network; auto: small on a CPU, 16 on a GPU."
    )
    stalled_after: Annotated[float, Field(gt=0)] = Field(
        STALLED_SECONDS,
        description="Seconds without any progress after which an actor's process is ended and its shard tried again; "
        "a content that stalls it twice becomes a failed record.",
    )

    def model_post_init(self, _: object) -> None:
        if self.actors != "auto" and self.actors < 1:
            raise ValueError("actors: at least 1, or auto")
        if self.gpus_per_actor != "auto":
            share = self.gpus_per_actor
            if share < 0 or (share > 1 and share != int(share)):
                raise ValueError("gpus_per_actor: a fraction up to 1, or a whole number")
        if self.batch_megapixels != "auto" and self.batch_megapixels <= 0:
            raise ValueError("batch_megapixels: above 0, or auto")
