"""Prefect tasks, one thin function a step: the only file here that imports prefect."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from tasks.actors.bank_crew import build_bank
from tasks.actors.hope import HopelessError, ShardFailure
from tasks.actors.on_demand import PoolOnDemand
from tasks.actors.orders import make_order
from tasks.actors.pool import Pool
from tasks.banks.kept import find_bank
from tasks.corpus import open_corpus
from tasks.corpus.settings import CorpusSettings
from tasks.datacard import write_card
from tasks.dataset.cells import Cell, find_cells
from tasks.dataset.chain import plan_retry, plan_wanted
from tasks.dataset.footer import ShardFooter
from tasks.dataset.forgotten import read_forgotten
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import Verification, check
from tasks.drawing import WantedBank, check_draw, want_bank
from tasks.draws.settings import DrawSettings
from tasks.expansion import StyleSource
from tasks.forecast import shard_size
from tasks.images.settings import ImageSettings
from tasks.labelled.wording import Say
from tasks.methods.settings import MethodSettings
from tasks.partitions import PartitionSettings
from tasks.plan import Plan, Wanted
from tasks.preflight import (
    check_clip,
    check_output,
    check_pictures,
    missing_styles,
    prepare_styles,
    settle_format,
    settle_prompts,
)
from tasks.progress import make_bar
from tasks.records import RequestError
from tasks.report.summary import render_summary
from tasks.scores.settings import ScoreSettings
from tasks.shards import ShardSize
from tasks.storage import Folder
from tasks.store import RepresentationStore
from tasks.styles import PlannedStyle, check_unchanged
from tasks.summary import report_data, write_report

# Truth lives in storage, so nothing is cached or kept by Prefect, and a step that fails is run again by hand.
REPRESENT_BATCH = 64


@task(cache_policy=NO_CACHE, task_run_name="preflight")
def preflight(
    corpus: CorpusSettings,
    styles: StyleSource,
    method: MethodSettings,
    images: ImageSettings,
    seed: int,
    output: str,
    store: str,
    scores: ScoreSettings,
) -> Wanted:
    """Everything that can be known to be wrong before a GPU is taken. Raises RequestError."""
    check_output(output, images, seed)
    check_clip(scores.clip)
    check_clip(scores.judge)
    settled = settle_prompts(settle_format(corpus, styles), styles, method, images)
    prepared = _prepare(styles, method, store, output, corpus=settled.uri)
    return Wanted(settled, images, seed, prepared, store, scores.clip, scores.judge)


@task(cache_policy=NO_CACHE, task_run_name="prepare styles")
def prepare(styles: StyleSource, method: MethodSettings, store: str, output: str, say: Say) -> tuple[PlannedStyle, ...]:
    """The styles alone, checked as in preflight; the store must keep a create-only promise."""
    Folder(store).probe()
    return _prepare(styles, method, store, output, say)


@task(cache_policy=NO_CACHE, task_run_name="open plans")
def find_open_plans(output: str) -> list[Plan]:
    """Plans that an earlier run left open: they come first. Raises RequestError where their styles have changed."""
    ledger = Ledger(Folder(output))
    plans = ledger.open_plans()
    for plan in plans:
        check_unchanged(ledger.forgotten.keep_styles(plan.styles))
    return plans


@task(cache_policy=NO_CACHE, task_run_name="plan")
def make_plan(
    output: str, wanted: Wanted, actors: PoolOnDemand, shard_images: int | Literal["auto"], say: Say
) -> Plan | None:
    """Freeze what is wanted and not owned; None where nothing is left, and then no cluster is joined."""

    def size() -> ShardSize:
        share = actors.share
        prompted = wanted.corpus.size
        return shard_size(wanted.images, wanted.styles, shard_images, share.device, share.actors, prompted)

    return plan_wanted(Folder(output), wanted, size, say)


@task(cache_policy=NO_CACHE, task_run_name="find what is left")
def find_what_is_left(output: str, wanted: Wanted, partitions: PartitionSettings, say: Say) -> tuple[int, list[Cell]]:
    """The number of the last plan, and what is wanted and not owned by partition and wave."""
    ledger = Ledger(Folder(output))
    return len(ledger.chain), find_cells(ledger, wanted, partitions.name, say)


@task(cache_policy=NO_CACHE, task_run_name="plan a retry")
def make_retry(output: str, actors: PoolOnDemand, reasons: frozenset[str] = frozenset()) -> Plan | None:
    """Freeze the failed pairs, of some reasons or all, as a plan of their own; None where nothing had failed.

    Raises RequestError where their styles have changed, or nothing failed for such a reason.
    """

    def size(plan: Plan) -> ShardSize:
        check_unchanged(plan.styles)  # while it can still be left alone
        share = actors.share
        return shard_size(plan.images, plan.styles, "auto", share.device, share.actors, plan.corpus.size)

    return plan_retry(Folder(output), size, reasons)


@task(cache_policy=NO_CACHE, task_run_name="represent a batch")
def represent_batch(pool: Pool, styles: Sequence[PlannedStyle]) -> RepresentWork:
    """Compute and store what the store lacks of a batch of styles, with progress on stderr."""
    started = time.monotonic()
    with make_bar(len(styles), "style") as bar:
        computed = pool.represent(styles, bar.update, lambda told: bar.set_postfix_str("; ".join(told)))
        return RepresentWork(computed, time.monotonic() - started)


@task(cache_policy=NO_CACHE, task_run_name="stylize a wave of plan {plan.seq}")
def stylize_wave(pool: Pool, output: str, plan: Plan, wave: str, corpus: CorpusSettings, max_failed: float) -> WaveWork:
    """Make and commit the open shards of one wave, with progress on stderr; stops early where that is hopeless."""
    started = time.monotonic()
    ledger = Ledger(Folder(output))
    pieces = ledger.pieces(plan)
    tally = pieces.tally()
    groups = {s: plan.groups[tally.groups[s]] for s in ledger.open_shards(plan)}
    waiting = {shard for shard, group in groups.items() if group.wave == wave}
    orders = (make_order(plan, planned, corpus) for shard, planned in pieces.runs() if shard in waiting)
    stopped = ""
    with Progress(sum(tally.contents[shard] * len(groups[shard].styles) for shard in waiting)) as progress:
        try:
            given_up = pool.stylize(orders, progress.add_shard, progress.show, max_failed, len(waiting))
        except HopelessError as error:
            given_up, stopped = error.given_up, str(error)
    seconds = time.monotonic() - started
    return WaveWork(progress.records, progress.failed, seconds, progress.stages, given_up, stopped)


@task(cache_policy=NO_CACHE, task_run_name="verify")
def verify(ledger: Ledger) -> Verification:
    """Plans against objects against footers against rows."""
    return check(ledger)


@task(cache_policy=NO_CACHE, task_run_name="report")
def report(ledger: Ledger, verification: Verification) -> str:
    """Write the HTML report, and a summary among Prefect's artifacts; gives the report's URI."""
    data = report_data(ledger, verification)
    create_markdown_artifact(render_summary(data), key="atelier-report", description=ledger.folder.uri)
    return write_report(ledger.folder, data)


@task(cache_policy=NO_CACHE, task_run_name="preflight of a draw")
def preflight_draw(
    draw: DrawSettings,
    corpus: CorpusSettings,
    styles: StyleSource,
    method: MethodSettings,
    images: ImageSettings,
    output: str,
    store: str,
    say: Say,
) -> tuple[CorpusSettings, WantedBank]:
    """What a draw needs beyond the output and the scores, before a GPU is taken. Raises RequestError."""
    Folder(store).probe()
    settled = settle_prompts(settle_format(corpus), styles, method, images)
    check_draw(draw, settled, images, method)
    representations = RepresentationStore(store)
    wanted = want_bank(styles, method, representations.folder, output, say)
    check_pictures(wanted.styles, representations)
    return settled, wanted


@task(cache_policy=NO_CACHE, task_run_name="make a bank")
def make_bank(actors: PoolOnDemand, wanted: WantedBank) -> tuple[str, RepresentWork]:
    """Key of the bank; where it is not there its pictures are represented first, with progress on stderr."""
    key = find_bank(Folder(actors.store), wanted.method.name, wanted.source)
    if key is not None:
        return key, RepresentWork(0, 0.0)
    started = time.monotonic()
    with make_bar(wanted.pictures, "picture") as bar:
        for start in range(0, len(wanted.styles), REPRESENT_BATCH):
            batch = wanted.styles[start : start + REPRESENT_BATCH]
            actors.pool.represent(batch, bar.update)
        key = build_bank(actors.pool, wanted.parts, wanted.order, bar.update)
    return key, RepresentWork(wanted.pictures, time.monotonic() - started)


@task(cache_policy=NO_CACHE, task_run_name="data card")
def write_data_card(ledger: Ledger) -> str:
    """Write the card of a dataset; gives its URI."""
    return write_card(ledger)


@dataclass(frozen=True)
class RepresentWork:
    """What a batch of styles took: representations computed, wall seconds."""

    computed: int
    seconds: float


@dataclass(frozen=True)
class WaveWork:
    """What a wave did: records and failures made, wall seconds, actors' seconds by stage, shards given up.

    `stopped` says why it was stopped early, where it was.
    """

    records: int
    failed: int
    seconds: float
    stages: Counter[str]
    given_up: list[ShardFailure]
    stopped: str


def _prepare(
    styles: StyleSource,
    method: MethodSettings,
    store: str,
    output: str,
    say: Say = lambda _: None,
    corpus: str | None = None,
) -> tuple[PlannedStyle, ...]:
    representations = RepresentationStore(store)
    prepared = prepare_styles(styles, method, output, representations.folder, say, corpus)
    check_pictures(prepared, representations)
    return prepared


def batches_to_represent(styles: Sequence[PlannedStyle], store: str, output: str) -> list[list[PlannedStyle]]:
    """Styles that the store lacks, in batches; not those that were taken out of the dataset."""
    kept = read_forgotten(Folder(output)).keep_styles(styles)
    missing = missing_styles(kept, RepresentationStore(store))
    return [missing[start : start + REPRESENT_BATCH] for start in range(0, len(missing), REPRESENT_BATCH)]


def locate_corpus(plan: Plan, wanted: CorpusSettings) -> CorpusSettings:
    """The plan's corpus where it still is, else the job's: a folder may have moved since. Prompts keep their size."""
    try:
        open_corpus(plan.corpus)
    except RequestError:
        return wanted.model_copy(update={"size": plan.corpus.size})
    return plan.corpus


class Progress:
    """A bar on stderr: pairs done, failed, and what each second brings."""

    def __init__(self, pairs: int) -> None:
        self._pairs = pairs
        self._bar = make_bar(pairs, "pair")
        self.records = self.failed = 0
        self.stages: Counter[str] = Counter()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def add_shard(self, footer: ShardFooter) -> None:
        """A shard is committed."""
        self.records += footer.records
        self.failed += footer.failed
        self.stages.update(footer.seconds)
        self._bar.set_postfix(failed=self.failed, refresh=False)

    def show(self, rows_in_hand: int) -> None:
        """Move the bar to what is committed and in hand."""
        done = min(self._pairs, self.records + self.failed + rows_in_hand)
        self._bar.update(max(0, done - int(self._bar.n)))
