"""The main path: preflight, plan, represent, stylize, verify, report."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from prefect import flow

from pipelines.job import Job
from pipelines.plan import draft_job
from tasks import steps
from tasks.actors.on_demand import PoolOnDemand
from tasks.actors.pool import ShardFailure
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import Verification
from tasks.dataset.verify import verify as verify_dataset
from tasks.plan import Plan, ShardSize
from tasks.storage import Folder


@dataclass
class RunSummary:
    """What a run did, and how the dataset stands after it. Counts are of records; seconds are wall time."""

    output: str
    made: int = 0
    represented: int = 0
    seconds: float = 0.0
    stylize_seconds: float = 0.0
    records: int = 0
    failed: int = 0
    open_shards: int = 0
    problems: list[str] = field(default_factory=list)
    given_up: list[ShardFailure] = field(default_factory=list)
    stages: Counter[str] = field(default_factory=Counter)
    report: str | None = None
    max_failed: float = 0.01

    @property
    def exit_code(self) -> int:
        """0 whole and within `max_failed`; 1 too many failed; 3 incomplete."""
        if self.open_shards or self.problems or self.given_up:
            return 3
        return 1 if self.failed > self.max_failed * (self.records + self.failed) else 0

    @property
    def images_per_second(self) -> float:
        """Stylized images per second while actors were at work."""
        return self.made / self.stylize_seconds if self.stylize_seconds else 0.0

    def describe(self) -> str:
        """The summary in a few lines."""
        lines = [f"{self.records} records, {self.failed} failed in {self.output}"]
        if self.made:
            lines.append(
                f"{self.made} made in {self.seconds:.1f} s, {self.images_per_second:.1f} images/s while stylizing; "
                f"{self.represented} styles represented"
            )
            lines.append(f"Where the time went: {_shares(self.stages)}")
        elif not self.open_shards:
            lines.append(f"Nothing to do ({self.seconds:.1f} s)")
        lines += [f"Problem: {problem}" for problem in self.problems]
        lines += [f"Shard {one.plan}-{one.shard} was given up: {one.reason}" for one in self.given_up]
        if self.open_shards:
            lines.append(f"{self.open_shards} shards are open: run the job again")
        elif self.exit_code == 1:
            lines.append(f"More than {self.max_failed:.1%} failed: see failures/ and the report")
        return "\n".join([*lines, *([f"Report: {self.report}"] if self.report else [])])

    def to_json(self) -> dict[str, Any]:
        """The summary as plain values."""
        return asdict(self) | {"exit_code": self.exit_code, "images_per_second": self.images_per_second}


@flow(name="stylize", flow_run_name="stylize {job.output}")
def stylize(job: Job) -> RunSummary:
    """Stylize what a job wants and nobody made yet. Kill it at any moment and run it again: nothing is lost.

    Raises RequestError before an actor starts where the job cannot be done.
    """
    started = time.monotonic()
    summary = RunSummary(output=job.output, max_failed=job.max_failed)
    wanted = steps.preflight(
        job.corpus,
        job.styles,
        job.method,
        job.images,
        job.seed,
        output=job.output,
        store=job.store_uri,
        clip=job.scores.clip,
    )
    with PoolOnDemand(job.resources, job.output, job.store_uri, job.scores.clip) as actors:
        for plan in steps.find_open_plans(job.output):
            finish_plan(plan, job.corpus, actors, summary)
        new = steps.make_plan(job.output, wanted, actors, job.shard_images)
        if new is not None:
            finish_plan(new, job.corpus, actors, summary)
    close_run(summary)
    summary.seconds = time.monotonic() - started
    return summary


def find_nothing_to_do(job: Job) -> RunSummary | None:
    """The summary of a run that has nothing to do, without a server or a cluster; None where there is work."""
    started = time.monotonic()
    folder = Folder(job.output)
    ledger = Ledger(folder)
    if not ledger.chain or ledger.open_plans() or draft_job(job, ShardSize()) is not None:
        return None
    summary = RunSummary(output=job.output, max_failed=job.max_failed)
    count_dataset(summary, verify_dataset(folder))
    summary.seconds = time.monotonic() - started
    return summary


def finish_plan(plan: Plan, corpus: CorpusSettings, actors: PoolOnDemand, summary: RunSummary) -> None:
    """Bring a plan to its end: missing representations, then its waves."""
    where = steps.locate_corpus(plan, corpus)
    for batch in steps.batches_to_represent(plan.styles, actors.store):
        summary.represented += steps.represent_batch(actors.pool, batch)
    for wave in dict.fromkeys(group.wave for group in plan.groups):
        work = steps.stylize_wave(actors.pool, actors.output, plan, wave, where)
        summary.made += work.records
        summary.stylize_seconds += work.seconds
        summary.stages.update(work.stages)
        summary.given_up += work.given_up


def close_run(summary: RunSummary) -> None:
    """Verify the dataset and write its report, whatever came before."""
    verification = steps.verify(summary.output)
    count_dataset(summary, verification)
    summary.report = steps.report(summary.output, verification)


def count_dataset(summary: RunSummary, verification: Verification) -> None:
    """Take over how the dataset stands."""
    summary.records, summary.failed = verification.records, verification.failed
    summary.open_shards, summary.problems = verification.open_shards, verification.problems


def _shares(stages: Counter[str]) -> str:
    """Shares of the actors' time, largest first; what threads did meanwhile is not counted twice."""
    busy = stages["busy"] or 1.0
    own = {stage: stages[stage] for stage in ("render", "encode", "score", "wait", "wait_codec", "load", "publish")}
    shown = sorted(((s, v) for s, v in own.items() if v > 0.005 * busy), key=lambda item: -item[1])
    return ", ".join(f"{stage.replace('_', ' for ')} {value / busy:.0%}" for stage, value in shown)
