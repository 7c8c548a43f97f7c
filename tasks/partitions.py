"""Partitions of a corpus: its contents by leading folders, or by the date in their path."""

from __future__ import annotations

import re
from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# 2026-11-27, 2026/11/27 or 2026_11_27 anywhere in a path, or 20261127; never digits out of a longer number.
DATES = re.compile(r"(?<!\d)(\d{4})(?:([-/_])(\d{2})\2(\d{2})|(\d{2})(\d{2}))(?!\d)")
TOP = "."  # of what lies above the folders that were asked for, as `ls` names them


class PartitionSettings(BaseModel):
    """How a corpus is cut into partitions, and which of them are wanted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["prefix", "date"] = Field("prefix", description="Leading folders, or the first date in the path.")
    depth: int = Field(1, ge=1, le=32, description="Leading folders that name a partition.")
    first: date | None = Field(None, description="The earliest date that is wanted.")
    last: date | None = Field(None, description="The latest date that is wanted.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.by == "prefix" and (self.first or self.last):
            raise ValueError("a range of dates needs partitions by date")
        if self.first and self.last and self.first > self.last:
            raise ValueError("the range of dates ends before it begins")
        return self

    def name(self, path: str) -> str | None:
        """The partition of a file, by its path below the corpus root; None where it is not wanted.

        A file without a date is wanted where no range is.
        """
        if self.by == "prefix":
            return "/".join(path.split("/")[:-1][: self.depth]) or TOP
        found = find_date(path)
        if found is None:
            return None if self.first or self.last else "no date"
        inside = (self.first or found) <= found <= (self.last or found)
        return found.isoformat() if inside else None


def find_date(path: str) -> date | None:
    """The first date in a path, or None where there is none that a calendar has."""
    for match in DATES.finditer(path):
        year, _, month, day, month_close, day_close = match.groups()
        try:
            return date(int(year), int(month or month_close), int(day or day_close))
        except ValueError:
            continue
    return None
