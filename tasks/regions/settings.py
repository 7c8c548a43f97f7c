"""How a composite style lays its references out on each content. No torch here: jobs and plans are made of this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.storage import path_from

BESIDE = "beside"
SEAM = 0.05  # of the shorter side; between drawn shapes
EDGE = 0.01  # where a region follows what the picture shows
Count = Annotated[int, Field(ge=1, le=64)]


class RegionSettings(BaseModel):
    """One layout. Its regions go to the references in turn, and again from the first where there are more regions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grid: tuple[Count, Count] | None = Field(
        None,
        description="[rows, columns], in reading order; where every row would begin with the same reference, each "
        "begins one later than the row above, so that [2, 2] of two references is a chequerboard.",
    )
    stripes: Count | None = Field(None, description="So many stripes of one width, from the top left.")
    direction: Literal["vertical", "horizontal", "diagonal"] = Field("vertical", description="How stripes run.")
    rings: Count | None = Field(None, description="So many rings about the centre, the innermost first.")
    sectors: Count | None = Field(None, description="So many sectors about the centre, clockwise from the top.")
    foreground: bool = Field(
        False,
        description="What stands out in the content, often only a part of it, to the first reference, the rest to the "
        "second; for exact regions bring masks.",
    )
    masks: str | None = Field(
        None,
        min_length=1,
        description="A mask for each content, drawn on the upright picture, of any size in its proportions. `beside`: "
        "photo.mask.png beside photo.jpg. Else a folder that holds photo.png for photo.jpg, at the same depth; for row "
        "12 of a table, t.parquet#12.png.",
    )
    column: str | None = Field(None, min_length=1, description="A column of masks in a Parquet corpus.")
    labels: tuple[Annotated[int, Field(ge=0, le=255)], ...] | None = Field(
        None,
        description="The grey value or palette index of each reference in a mask; other values go to the last one. "
        "None: white is the first reference and black the last, with equal steps for those between.",
    )
    feather: float | None = Field(
        None,
        ge=0,
        le=1,
        description=f"Width of the soft seams, as a share of the content's shorter side; {SEAM}, or {EDGE} for masks "
        "and foreground.",
    )

    @model_validator(mode="after")
    def _is_one_layout(self) -> Self:
        kinds = ("grid", "stripes", "rings", "sectors", "foreground", "masks", "column")
        named = [kind for kind in kinds if getattr(self, kind)]
        if len(named) != 1:
            raise ValueError(f"name one of {', '.join(kinds)}, not {' and '.join(named) or 'none'}")
        if self.direction != "vertical" and not self.stripes:
            raise ValueError("`direction` belongs to `stripes`")
        if self.labels is not None and not self.reads_masks:
            raise ValueError("`labels` belong to `masks` or `column`")
        if self.labels is not None and len(set(self.labels)) < len(self.labels):
            raise ValueError("`labels` has a value twice, and a level can be of one reference only")
        return self

    @property
    def reads_masks(self) -> bool:
        """Whether each content brings its own mask."""
        return self.masks is not None or self.column is not None

    @property
    def differs(self) -> bool:
        """Whether the regions are other ones in each content, of whatever size."""
        return self.reads_masks or self.foreground

    @property
    def seam(self) -> float:
        """Width of the seams, as a share of the shorter side."""
        if self.feather is not None:
            return self.feather
        return EDGE if self.differs else SEAM

    def count(self) -> int | None:
        """How many regions there are; None where masks decide."""
        if self.reads_masks:
            return None
        if self.grid:
            return self.grid[0] * self.grid[1]
        return 2 if self.foreground else self.stripes or self.rings or self.sectors

    def check_references(self, references: int) -> None:
        """Raise ValueError where so many references cannot share the regions."""
        count = self.count()
        if references < 2:
            raise ValueError("`regions` share a content out among several references: name two or more")
        if count is not None and count < references:
            raise ValueError(
                f"{references} references have only {count} regions: leave references out, or lay out more"
            )
        if self.labels is not None and len(self.labels) not in (references - 1, references):
            raise ValueError("`labels` has a value for each reference; the last may be left out")

    def resolve_paths(self, resolve: Callable[[str], str]) -> Self:
        """The same layout, its folder of masks made absolute."""
        if self.masks is None or self.masks == BESIDE:
            return self
        return self.model_copy(update={"masks": resolve(self.masks)})

    def identity(self, corpus: str | None) -> dict[str, Any]:
        """What the layout is: of a folder of masks the path from the corpus to it, so that both may move together."""
        what = self.model_dump(mode="json", exclude_defaults=True, exclude={"feather"}) | {"feather": self.seam}
        if self.masks is not None and self.masks != BESIDE and corpus is not None:
            what["masks"] = path_from(corpus, self.masks) or self.masks
        return what
