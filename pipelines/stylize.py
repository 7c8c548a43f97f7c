"""The main path: preflight, plan, represent, stylize, verify, report."""

from __future__ import annotations

import time
from contextlib import suppress

from prefect import flow

from pipelines.command import say
from pipelines.control import RunControl, control_run, end_cancelled
from pipelines.job import Job
from pipelines.plan import refuse_draw
from pipelines.summary import RunSummary
from tasks import steps
from tasks.actors.hope import HopelessError
from tasks.actors.on_demand import PoolOnDemand
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.ledger import Ledger
from tasks.plan import Plan, Wanted
from tasks.storage import Folder


@flow(name="stylize", flow_run_name="stylize {job.output}")
def stylize(job: Job, take_over: bool = False) -> RunSummary:
    """Stylize what a job wants and nobody made yet. Kill it at any moment and run it again: nothing is lost.

    It waits for a run that already works on the dataset, or with `take_over` makes that one stop. Raises RequestError
    before an actor starts where the job cannot be done.
    """
    return end_cancelled(lambda: run_job(job, take_over))


def run_job(job: Job, take_over: bool = False) -> RunSummary:
    """What `stylize` does, in whatever flow run it is called."""
    refuse_draw(job)
    started = time.monotonic()
    summary = RunSummary(output=job.output, max_failed=job.max_failed)
    wanted = prepare(job)
    with control_run(job.output, take_over) as control:
        control.work(lambda: make_wanted(job, wanted, summary, control), summary)
        close_run(summary)
    summary.seconds = time.monotonic() - started
    return summary


def prepare(job: Job) -> Wanted:
    """What a job wants, after every check that needs no actor. Raises RequestError."""
    return steps.preflight(
        job.corpus,
        job.styles,
        job.method,
        job.images,
        job.seed,
        output=job.output,
        store=job.store_uri,
        scores=job.scores,
    )


def make_wanted(job: Job, wanted: Wanted, summary: RunSummary, control: RunControl) -> None:
    """Finish what is open, then plan and make what is left."""
    with suppress(HopelessError), open_actors(job, control) as actors:
        tried = finish_open_plans(job, actors, summary)
        steps.make_plan(job.output, wanted, actors, job.shard_images, say)
        # Ours, or one that another driver made meanwhile: it owns what we wanted, so its end is ours to wait for.
        finish_open_plans(job, actors, summary, tried)


def open_actors(job: Job, control: RunControl) -> PoolOnDemand:
    """The actors of a job, let go of when the run is to stop."""
    return PoolOnDemand(job.resources, job.output, job.store_uri, job.scores.clip, control.check)


def finish_open_plans(
    job: Job, actors: PoolOnDemand, summary: RunSummary, tried: frozenset[int] = frozenset()
) -> frozenset[int]:
    """Bring every open plan to its end, but for those that were tried before; gives which were tried."""
    plans = [plan for plan in steps.find_open_plans(job.output) if plan.seq not in tried]
    for plan in plans:
        finish_plan(plan, job.corpus, actors, summary)
    return tried | {plan.seq for plan in plans}


def finish_plan(plan: Plan, corpus: CorpusSettings, actors: PoolOnDemand, summary: RunSummary) -> None:
    """Bring a plan to its end: missing representations, then its waves. Raises HopelessError."""
    where = steps.locate_corpus(plan, corpus)
    for batch in steps.batches_to_represent(plan.styles, actors.store, actors.output):
        represented = steps.represent_batch(actors.pool, batch)
        summary.represented += represented.computed
        summary.represent_seconds += represented.seconds
    for wave in dict.fromkeys(group.wave for group in plan.groups):
        work = steps.stylize_wave(actors.pool, actors.output, plan, wave, where, summary.max_failed)
        summary.made += work.records
        summary.stylize_seconds += work.seconds
        summary.stages.update(work.stages)
        summary.given_up += [f"Shard {s.plan}-{s.shard} was given up: {s.reason}" for s in work.given_up]
        if work.stopped:
            summary.stopped = work.stopped
            raise HopelessError(work.stopped, work.given_up)


def close_run(summary: RunSummary) -> None:
    """Verify the dataset and write its report, whatever came before."""
    ledger = Ledger(Folder(summary.output))
    verification = steps.verify(ledger)
    summary.count(verification)
    summary.report = steps.report(ledger, verification)
