"""Labelled training data: each content in a few styles drawn from a bank, its labels carried along."""

from __future__ import annotations

import time
from contextlib import suppress

from prefect import flow

from pipelines.command import say
from pipelines.control import RunControl, control_run, end_cancelled
from pipelines.job import Job
from pipelines.plan import ask_for_draw
from pipelines.stylize import close_run, finish_open_plans, open_actors
from pipelines.summary import RunSummary
from tasks import steps
from tasks.actors.hope import HopelessError
from tasks.actors.on_demand import PoolOnDemand
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.ledger import Ledger
from tasks.drawing import WantedBank, make_draws
from tasks.draws.settings import DrawSettings
from tasks.plan import Wanted
from tasks.preflight import check_clip, check_output
from tasks.storage import Folder


@flow(name="synthesize", flow_run_name="synthesize {job.output}")
def synthesize(job: Job, take_over: bool = False) -> RunSummary:
    """Make what a job draws and nobody made yet. Kill it at any moment and run it again: nothing is lost.

    It waits for a run that already works on the dataset, or with `take_over` makes that one stop. Raises RequestError
    before a picture is made where the job cannot be done.
    """
    return end_cancelled(lambda: run_synthesis(job, take_over))


def run_synthesis(job: Job, take_over: bool = False) -> RunSummary:
    """What `synthesize` does, in whatever flow run it is called."""
    draw = ask_for_draw(job)
    started = time.monotonic()
    summary = RunSummary(output=job.output, max_failed=job.max_failed)
    output = check_output(job.output, job.images, job.seed)
    check_clip(job.scores.clip)
    check_clip(job.scores.judge)
    corpus, bank = steps.preflight_draw(
        draw, job.corpus, job.styles, job.method, job.images, job.output, job.store_uri, say
    )
    with control_run(job.output, take_over) as control:
        control.work(lambda: make_drawn(job, draw, corpus, bank, summary, control), summary)
        close_run(summary)
        summary.card = steps.write_data_card(Ledger(output))
    summary.seconds = time.monotonic() - started
    return summary


def make_drawn(
    job: Job, draw: DrawSettings, corpus: CorpusSettings, bank: WantedBank, summary: RunSummary, control: RunControl
) -> None:
    """Make the bank, finish what is open, then plan and make what is left."""
    with suppress(HopelessError), open_actors(job, control) as actors:
        key = make_bank(actors, bank, summary)
        tried = finish_open_plans(job, actors, summary)
        draws = make_draws(draw, bank, key, job.seed, Folder(job.store_uri), Folder(job.output), say)
        wanted = Wanted(corpus, job.images, job.seed, draws, job.store_uri, job.scores.clip, job.scores.judge)
        steps.make_plan(job.output, wanted, actors, job.shard_images, say)
        finish_open_plans(job, actors, summary, tried)


def make_bank(actors: PoolOnDemand, bank: WantedBank, summary: RunSummary) -> str:
    """Key of the bank, made where it is not there."""
    key, work = steps.make_bank(actors, bank)
    summary.represented += work.computed
    summary.represent_seconds += work.seconds
    return key
