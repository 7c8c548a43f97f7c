"""Dry runs: what a job would make and take, before anything is taken."""

from __future__ import annotations

from pipelines.command import say
from pipelines.job import Job
from pipelines.plan import prepare_wanted
from tasks.actors.cluster import divide, machine_resources
from tasks.dataset.chain import draft_wanted
from tasks.dataset.ledger import Ledger
from tasks.forecast import Forecast, forecast, shard_size
from tasks.storage import Folder


def forecast_job(job: Job) -> Forecast | None:
    """The forecast for a cluster like this machine; None where nothing is left to do."""
    wanted = prepare_wanted(job)
    share = divide(job.resources, machine_resources())
    prompted = wanted.corpus.size
    size = shard_size(job.images, wanted.styles, job.shard_images, share.device, share.actors, prompted)
    draft = draft_wanted(Ledger(Folder(job.output)), wanted, lambda: size, say)
    return forecast(draft.plan, draft.planned, share.device, share.actors) if draft else None
