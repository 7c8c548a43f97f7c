"""Fill the representation store with a job's styles, ahead of any stylization."""

from __future__ import annotations

from prefect import flow

from pipelines.job import Job
from pipelines.plan import say
from tasks import steps
from tasks.actors.on_demand import PoolOnDemand


@flow(name="represent", flow_run_name="represent {job.store_uri}")
def represent(job: Job) -> tuple[int, int]:
    """Compute and store what the store lacks of a job's styles; gives (computed, were there)."""
    styles = steps.prepare(job.styles, job.method, job.store_uri, job.output, say)
    computed = 0
    with PoolOnDemand(job.resources, job.output, job.store_uri, "none") as actors:
        for batch in steps.batches_to_represent(styles, job.store_uri, job.output):
            computed += steps.represent_batch(actors.pool, batch).computed
    return computed, len({style.representation for style in styles}) - computed
