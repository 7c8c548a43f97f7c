"""Fill the representation store with a job's styles, ahead of any stylization."""

from __future__ import annotations

from prefect import flow

from pipelines.command import say
from pipelines.job import Job
from tasks import steps
from tasks.actors.on_demand import PoolOnDemand
from tasks.draws.settings import DrawSettings


@flow(name="represent", flow_run_name="represent {job.store_uri}")
def represent(job: Job) -> tuple[int, int]:
    """Compute and store what the store lacks of a job's styles; gives (computed, were there)."""
    if job.draw is not None:
        return _represent_bank(job, job.draw)
    styles = steps.prepare(job.styles, job.method, job.store_uri, job.output, say)
    computed = 0
    with PoolOnDemand(job.resources, job.output, job.store_uri, "none") as actors:
        for batch in steps.batches_to_represent(styles, job.store_uri, job.output):
            computed += steps.represent_batch(actors.pool, batch).computed
    return computed, len({style.representation for style in styles}) - computed


def _represent_bank(job: Job, draw: DrawSettings) -> tuple[int, int]:
    """The bank that a job draws from; gives (represented, were there)."""
    _, bank = steps.preflight_draw(draw, job.corpus, job.styles, job.method, job.images, job.output, job.store_uri, say)
    with PoolOnDemand(job.resources, job.output, job.store_uri, "none") as actors:
        _, work = steps.make_bank(actors, bank)
    return work.computed, bank.pictures - work.computed
