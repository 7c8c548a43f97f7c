"""Settings that methods of style pictures share, whatever their networks."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tasks.methods.base_settings import Settings
from tasks.methods.text_settings import TextSettings


class LocalSettings(Settings):
    """Settings of a method that looks at style pictures position by position (tasks/methods/local.py).

    A representation is the pictures themselves: `represent` reads only how large they may be.
    """

    represent_reads: ClassVar[frozenset[str]] = frozenset({"style_size"})
    encode_reads: ClassVar[frozenset[str]] = frozenset()
    render_reads: ClassVar[frozenset[str]] = frozenset({"strength", "token_seed"})
    text_fields: ClassVar[frozenset[str]] = frozenset({"texts"})
    resource_fields: ClassVar[frozenset[str]] = frozenset({"attention_megabytes", "cache_megabytes"})
    accepts_texts: ClassVar[bool] = True
    accepts_masks: ClassVar[bool] = True

    strength: float = Field(default=1.0, ge=0, le=1, description="How much of the style: 0 reconstructs the content.")
    style_size: int = Field(
        default=512, ge=16, le=4096, description="Longest side of a style picture in pixels; never enlarged."
    )
    token_seed: int = Field(
        default=6666, ge=0, lt=2**63, description="Seed of the subset of a style's tokens, where they are too many."
    )
    texts: TextSettings = Field(
        default_factory=TextSettings, description="How a picture is painted for a style that is a text."
    )
    attention_megabytes: int = Field(
        default=256, ge=1, description="Memory for scores of attention at once; changes no pixels beyond rounding."
    )
    cache_megabytes: int = Field(
        default=1024, ge=0, description="Memory for what is made of styles' pictures, in each actor; no pixels change."
    )
