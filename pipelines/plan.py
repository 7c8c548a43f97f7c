"""Dry runs: what a job would plan now, without writing or taking anything."""

from __future__ import annotations

from pipelines.job import Job
from tasks.actors.cluster import divide, machine_resources
from tasks.dataset.chain import Draft, draft_wanted
from tasks.dataset.identity import DatasetIdentity, check_identity
from tasks.dataset.ledger import Ledger
from tasks.forecast import Forecast, forecast, shard_size
from tasks.plan import ShardSize, Wanted
from tasks.preflight import prepare_styles
from tasks.storage import Folder


def draft_job(job: Job, size: ShardSize | None = None) -> Draft | None:
    """The plan that a run of this job would make next, unpublished; None where nothing is left to plan."""
    folder = Folder(job.output)
    check_identity(folder, DatasetIdentity(images=job.images, seed=job.seed))
    styles = prepare_styles(job.styles, job.method)
    wanted = Wanted(job.corpus, job.images, job.seed, styles, job.store_uri, job.scores.clip)
    return draft_wanted(Ledger(folder), wanted, lambda: size or _size(job, wanted))


def forecast_job(job: Job) -> Forecast | None:
    """What a run of this job would make and take on a cluster like this machine; None for nothing."""
    draft = draft_job(job)
    if draft is None:
        return None
    share = divide(job.resources, machine_resources())
    return forecast(draft.plan, draft.planned, share.device, share.actors)


def _size(job: Job, wanted: Wanted) -> ShardSize:
    share = divide(job.resources, machine_resources())
    return shard_size(job.images, wanted.styles, job.shard_images, share.device, share.actors)
