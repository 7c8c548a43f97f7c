"""What a job would plan now, without writing anything, starting a server or joining a cluster."""

from __future__ import annotations

import time

from pipelines.job import Job
from pipelines.summary import RunSummary
from tasks.dataset.chain import Draft, draft_wanted
from tasks.dataset.identity import DatasetIdentity, check_identity
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import verify
from tasks.plan import ShardSize, Wanted
from tasks.preflight import check_output, prepare_styles, settle_format
from tasks.storage import Folder


def prepare_wanted(job: Job) -> Wanted:
    """What a job wants, with its styles digested. Raises RequestError where it is not the dataset's."""
    check_identity(Folder(job.output), DatasetIdentity(images=job.images, seed=job.seed))
    styles = prepare_styles(job.styles, job.method)
    return Wanted(settle_format(job.corpus), job.images, job.seed, styles, job.store_uri, job.scores.clip)


def draft_plan(job: Job, wanted: Wanted, size: ShardSize) -> Draft | None:
    """The plan that a run of this job would make next, unpublished; None where nothing is left to plan."""
    return draft_wanted(Ledger(Folder(job.output)), wanted, lambda: size)


def find_nothing_to_do(job: Job) -> RunSummary | None:
    """The summary of a run that has nothing to do; None where there is work. Raises RequestError at a wrong job."""
    started = time.monotonic()
    folder = Folder(job.output)
    ledger, wanted = Ledger(folder), prepare_wanted(job)
    if not ledger.chain:
        check_output(job.output, job.images, job.seed)
        # There is work, then; drafting it here would read the whole corpus twice.
        return None
    if ledger.open_plans() or draft_plan(job, wanted, ShardSize()) is not None:
        return None
    summary = RunSummary(output=job.output, max_failed=job.max_failed)
    summary.count(verify(folder))
    summary.seconds = time.monotonic() - started
    return summary
