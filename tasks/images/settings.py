"""How pictures are brought to size before they are stylized, and how results are encoded."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ImageSettings(BaseModel):
    """The `images` part of a job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=16, le=8192)] | Literal["keep"] = Field(
        default=512,
        description="Longest side in pixels before stylizing (with `fit: crop`, the side of the square). "
        "Smaller pictures are never enlarged; `keep` leaves every picture at its own size.",
    )
    fit: Literal["keep", "crop", "pad"] = Field(
        default="keep",
        description="keep: the aspect ratio stays. crop: the short side is brought to `size` and the centre "
        "square is cut out. pad: the longest side is brought to `size` and the picture is centred on a "
        "square that its own mirror image fills.",
    )
    codec: Literal["jpeg", "png", "webp"] = Field(
        default="jpeg",
        description="Encoding of the stylized pictures. Next to jpeg, webp takes about 10 times the "
        "processor time and png about 15 times.",
    )
    quality: Annotated[int, Field(ge=1, le=100)] = Field(
        default=92, description="Quality of jpeg and webp; png is lossless and ignores it."
    )

    @model_validator(mode="after")
    def _keep_goes_with_keep(self) -> ImageSettings:
        if self.size == "keep" and self.fit != "keep":
            raise ValueError(f"fit: {self.fit} makes squares of one size: give `size` as a number of pixels")
        return self
