"""Labelled training data: each content in a few styles drawn from a bank, its labels carried along."""

from __future__ import annotations

import time

from prefect import flow

from pipelines.job import Job
from pipelines.plan import say
from pipelines.stylize import close_run, finish_open_plans
from pipelines.summary import RunSummary
from tasks import steps
from tasks.actors.on_demand import PoolOnDemand
from tasks.dataset.ledger import Ledger
from tasks.drawing import WantedBank, make_draws
from tasks.plan import Wanted
from tasks.preflight import check_clip, check_output
from tasks.records import RequestError
from tasks.storage import Folder


@flow(name="synthesize", flow_run_name="synthesize {job.output}")
def synthesize(job: Job) -> RunSummary:
    """Make what a job draws and nobody made yet. Kill it at any moment and run it again: nothing is lost.

    Raises RequestError before a picture is made where the job cannot be done.
    """
    if job.draw is None:
        raise RequestError("The job has no `draw`: add one (`draw: {styles: 1}`), or run it with `atelier run`.")
    started = time.monotonic()
    summary = RunSummary(output=job.output, max_failed=job.max_failed)
    output = check_output(job.output, job.images, job.seed)
    check_clip(job.scores.clip)
    check_clip(job.scores.judge)
    corpus, bank = steps.preflight_draw(
        job.draw, job.corpus, job.styles, job.method, job.images, job.output, job.store_uri, say
    )
    with PoolOnDemand(job.resources, job.output, job.store_uri, job.scores.clip) as actors:
        key = make_bank(actors, bank, summary)
        tried = finish_open_plans(job, actors, summary)
        draws = make_draws(job.draw, bank, key, job.seed, Folder(job.store_uri), output, say)
        wanted = Wanted(corpus, job.images, job.seed, draws, job.store_uri, job.scores.clip, job.scores.judge)
        steps.make_plan(job.output, wanted, actors, job.shard_images, say)
        finish_open_plans(job, actors, summary, tried)
    close_run(summary)
    summary.card = steps.write_data_card(Ledger(output))
    summary.seconds = time.monotonic() - started
    return summary


def make_bank(actors: PoolOnDemand, bank: WantedBank, summary: RunSummary) -> str:
    """Key of the bank, made where it is not there."""
    key, work = steps.make_bank(actors, bank)
    summary.represented += work.computed
    summary.represent_seconds += work.seconds
    return key
