"""What is left of a job by partition, with what each will take, the cheapest first. Writes nothing, starts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.command import say
from pipelines.job import Job
from pipelines.plan import prepare_wanted
from tasks.actors.cluster import Share, divide, machine_resources
from tasks.dataset.cells import Cell, draft_cells, find_cells
from tasks.dataset.chain import Draft
from tasks.dataset.ledger import Ledger
from tasks.forecast import Forecast, forecast, measure, shard_size
from tasks.partitions import PartitionSettings
from tasks.plan import Wanted
from tasks.storage import Folder

SHOWN = 20  # lines of a forecast; `--json` has them all
NAMES = 4  # of styles in a line


@dataclass(frozen=True)
class CellForecast:
    """A cell and what it will take."""

    cell: Cell
    forecast: Forecast

    @property
    def styles(self) -> str:
        """The names of its styles, or how many there are."""
        names = [style.name for style in self.cell.styles]
        return ", ".join(names) if len(names) <= NAMES else f"{len(names)} styles"

    def describe(self) -> str:
        """The cell in a line."""
        made = self.forecast
        return (
            f"{self.cell.partition} in {self.styles}: {made.records} records, reads {made.bytes_read / 1e6:.1f} MB, "
            f"writes about {made.bytes_written / 1e6:.1f} MB, about {made.wall_seconds:.0f} s"
        )

    def to_json(self) -> dict[str, Any]:
        """The cell as plain values."""
        names = [style.name for style in self.cell.styles]
        return {
            "partition": self.cell.partition,
            "styles": names,
            **asdict(self.forecast),
            "wall_seconds": self.forecast.wall_seconds,
        }


def forecast_backfill(job: Job, partitions: PartitionSettings) -> list[CellForecast]:
    """The forecast for a cluster like this machine. Raises RequestError at a wrong job."""
    wanted = prepare_wanted(job)
    cells = find_cells(Ledger(Folder(job.output)), wanted, partitions.name, say)
    return forecast_cells(job, wanted, cells, divide(job.resources, machine_resources()))


def forecast_cells(job: Job, wanted: Wanted, cells: Sequence[Cell], share: Share) -> list[CellForecast]:
    """What each cell will take, the cheapest first; a few contents of the whole are measured, once for all cells."""
    if not cells:
        return []
    whole = draft_some(job, wanted, cells, share)
    sample = measure(whole.plan, whole.planned)
    found = []
    for cell in cells:
        made = draft_some(job, wanted, [cell], share)
        found.append(CellForecast(cell, forecast(made.plan, made.planned, share.device, share.actors, sample)))
    return sorted(found, key=lambda one: (one.forecast.device_seconds, one.cell.partition))


def draft_some(job: Job, wanted: Wanted, cells: Sequence[Cell], share: Share) -> Draft:
    """A plan of some cells, cut for a share of a cluster."""
    styles = [style for cell in cells for style in cell.styles]
    size = shard_size(job.images, styles, job.shard_images, share.device, share.actors, wanted.corpus.size)
    return draft_cells(wanted, cells, size)


def describe_cells(cells: Sequence[CellForecast], chosen: int) -> str:
    """What is left, and how much of it is made now."""
    if not cells:
        return "Nothing to do."
    lines = [one.describe() for one in cells[:SHOWN]]
    lines += [f"... and {len(cells) - SHOWN} more"] * (len(cells) > SHOWN)
    total = sum(one.forecast.wall_seconds for one in cells[:chosen])
    records = sum(one.forecast.records for one in cells[:chosen])
    return "\n".join([*lines, f"{chosen} of {len(cells)} now: {records} records, about {total:.0f} s"])
