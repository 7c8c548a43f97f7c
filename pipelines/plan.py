"""What a job would plan now, without writing anything, starting a server or joining a cluster."""

from __future__ import annotations

import time

from pipelines.command import say
from pipelines.job import Job
from pipelines.summary import RunSummary
from tasks.dataset.chain import draft_wanted
from tasks.dataset.identity import DatasetIdentity, check_identity
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import check
from tasks.drawing import check_draw, forecast_draws, want_bank
from tasks.draws.settings import DrawSettings
from tasks.labelled.rows import ROWS
from tasks.plan import Wanted
from tasks.preflight import check_clip, check_output, prepare_styles, settle_format, settle_prompts
from tasks.records import RequestError
from tasks.shards import ShardSize
from tasks.storage import Folder, shorten_error, storage_errors


def prepare_wanted(job: Job, keep: Folder | None = None) -> Wanted:
    """What a job wants, with its styles digested. Raises RequestError where it is not the dataset's.

    Pictures of tables are copied into `keep`, and are not read again where there are copies beside the representations.
    """
    check_identity(Folder(job.output), DatasetIdentity(images=job.images, seed=job.seed))
    clip, judge = job.scores.clip, job.scores.judge
    check_clip(clip)
    check_clip(judge)
    corpus = settle_prompts(settle_format(job.corpus, job.styles), job.styles, job.method, job.images)
    ROWS.copies.look_in(Folder(job.store_uri))
    if job.draw is not None:
        check_draw(job.draw, corpus, job.images, job.method)
        store = Folder(job.store_uri)
        bank = want_bank(job.styles, job.method, store, job.output, say, keep=keep is not None)
        draws = forecast_draws(job.draw, bank, store)
        return Wanted(corpus, job.images, job.seed, draws, job.store_uri, clip, judge)
    styles = prepare_styles(job.styles, job.method, job.output, keep, say, corpus.uri)
    return Wanted(corpus, job.images, job.seed, styles, job.store_uri, clip, judge)


def refuse_draw(job: Job) -> None:
    """Raise RequestError where a job is for `atelier synthesize`: a run would make every content in every style."""
    if job.draw is not None:
        raise RequestError("The job has a `draw`: run it with `atelier synthesize`, or leave `draw` out.")


def ask_for_draw(job: Job) -> DrawSettings:
    """The draw of a job for `atelier synthesize`. Raises RequestError where it has none."""
    if job.draw is None:
        raise RequestError("The job has no `draw`: add one (`draw: {styles: 1}`), or run it with `atelier run`.")
    return job.draw


def _open_ledger(folder: Folder) -> Ledger:
    """The plans of a dataset, if it has any: the first that a run asks of its storage. Raises RequestError."""
    failures = tuple(kind for kind in storage_errors(folder.filesystem) if kind is not ValueError)
    try:
        return Ledger(folder)
    except failures as error:
        raise RequestError(
            f"{folder.uri} cannot be read ({shorten_error(error)}): check its permissions, and the credentials and "
            "endpoint in the environment."
        ) from error


def find_nothing_to_do(job: Job) -> RunSummary | None:
    """The summary of a run that has nothing to do; None where there is work. Raises RequestError at a wrong job."""
    started = time.monotonic()
    refuse_draw(job)
    ledger = _open_ledger(Folder(job.output))
    if not ledger.chain:
        check_output(job.output, job.images, job.seed)
    wanted = prepare_wanted(job, Folder(job.store_uri))
    if not ledger.chain:
        # There is work, then; drafting it here would read the whole corpus twice.
        return None
    if ledger.open_plans() or draft_wanted(ledger, wanted, ShardSize) is not None:
        return None
    summary = RunSummary(output=job.output, max_failed=job.max_failed)
    summary.count(check(ledger))
    summary.seconds = time.monotonic() - started
    return summary
