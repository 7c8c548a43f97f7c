"""Settings that methods of style pictures share, whatever their networks."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tasks.methods.picture_settings import PictureSettings


class LocalSettings(PictureSettings):
    """Settings of a method that looks at style pictures position by position (tasks/methods/local.py).

    A representation is the pictures themselves: `represent` reads only how large they may be.
    """

    varies_strength: ClassVar[bool] = True
    render_reads: ClassVar[frozenset[str]] = frozenset({"encoder", "strength", "token_seed"})
    resource_fields: ClassVar[frozenset[str]] = frozenset({"attention_megabytes", "cache_megabytes"})

    token_seed: int = Field(
        default=6666, ge=0, lt=2**63, description="Seed of the subset of a style's tokens, where they are too many."
    )
    attention_megabytes: int = Field(
        default=256, ge=1, description="Memory for scores of attention at once; changes no pixels beyond rounding."
    )
    cache_megabytes: int = Field(
        default=1024, ge=0, description="Memory for what is made of styles' pictures, in each actor; no pixels change."
    )
