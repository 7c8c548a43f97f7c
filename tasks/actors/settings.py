"""Resources of a run: how many actors, and what each takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# Ten times what the slowest store may take for one request of a usual size.
STALLED_SECONDS = 600.0
MOST = 100_000  # of anything: more is a slip of the hand, and no number that a float could not hold


class ResourceSettings(BaseModel):
    """What actors take of the cluster. Changing it changes no pixel and no dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actors: Annotated[int, Field(ge=1, le=MOST)] | Literal["auto"] = Field(
        "auto", description="Actors; auto: as many as the cluster holds."
    )
    gpus_per_actor: Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)] | Literal["auto"] = Field(
        "auto",
        description="Share of a GPU for each actor: 0.5 packs two on one, 0 is CPU; auto: 1 where there are any.",
    )
    cpus_per_actor: Annotated[int, Field(ge=1, le=MOST)] | Literal["auto"] = Field(
        "auto",
        description="CPU threads of an actor: torch's, and as many for codecs; auto: 1, or beside a GPU its part "
        "of the cores.",
    )
    batch_megapixels: Annotated[float, Field(gt=0, le=MOST)] | Literal["auto"] = Field(
        "auto", description="Pixels in one pass through a network; auto: small on a CPU, 16 on a GPU."
    )
    stalled_after: Annotated[float, Field(gt=0, le=MOST)] = Field(
        STALLED_SECONDS,
        description="Seconds without any progress after which an actor's process is ended and its shard tried again; "
        "a content that stalls it twice becomes a failed record.",
    )
    wait_minutes: float = Field(
        0.0,
        ge=0,
        le=MOST,
        description="How long to wait for a cluster that still grows to hold `actors`, and to ask its autoscaler for "
        "them; 0: it has to hold them now.",
    )

    def model_post_init(self, _: object) -> None:
        share = self.gpus_per_actor
        if share != "auto" and share > 1 and share != int(share):
            raise ValueError("gpus_per_actor: a fraction up to 1, or a whole number")
