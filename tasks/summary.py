"""What a dataset's report shows, read from storage: bounded, however large the dataset."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from tasks.dataset.footer import ACTOR_STAGES, ShardFooter
from tasks.dataset.ledger import Ledger, wanted_digests
from tasks.dataset.verify import Verification
from tasks.gallery.cards import describe_regions, name_renderer, place_step, show_inversions, show_references
from tasks.gallery.contents import gallery_rows
from tasks.gallery.extremes import read_extremes
from tasks.gallery.judgement import judge_arrivals
from tasks.gallery.paths import read_paths
from tasks.gallery.tally import Mean, Tally, tally_records
from tasks.labelled.rows import ROWS
from tasks.plan import Plan
from tasks.report.model import (
    FailureReason,
    ReportData,
    RunRow,
    SizeFill,
    StageTime,
    StyleReference,
    StyleSummary,
    Throughput,
)
from tasks.report.page import STYLES, render_report
from tasks.storage import Folder
from tasks.store import RepresentationStore
from tasks.styles import PlannedStyle

# Most of what is read of styles is read once.
CACHE_BYTES = 2**26
# What an actor's codec threads do, beside its own.
CODEC_STAGES = ("read", "decode", "compress")


def write_report(folder: Folder, data: ReportData) -> str:
    """Write `reports/<seq>/index.html`, `seq` being the newest plan's; gives its URI."""
    name = f"reports/{max(data.plans, default=0):05d}/index.html"
    folder.publish(name, render_report(data).encode(), create=False)
    return f"{folder.uri}/{name}"


def report_data(ledger: Ledger, verification: Verification | None) -> ReportData:
    """Everything that the report shows."""
    footers = [footer for footer, _ in ledger.footers.values() if footer and not footer.abandoned]
    failures = ledger.failures()
    # A style that comes again is what its newest plan says it is.
    kept = ((style, plan.store) for plan in ledger.chain for style in ledger.forgotten.keep_styles(plan.styles))
    styles = {style.digest: (style, store) for style, store in kept}
    tally = tally_records(ledger, list(styles), STYLES)
    return ReportData(
        title=ledger.folder.uri.rstrip("/").rsplit("/", 1)[-1],
        root=ledger.folder.uri,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        plans=[plan.seq for plan in ledger.chain],
        facts=_facts(ledger),
        records=sum(footer.records for footer in footers),
        failed=sum(table.num_rows for table in failures),
        styles=_styles(styles.values(), tally, failures),
        score_model=tally.model,
        scored_by_others=tally.scored_by_others,
        arrivals=judge_arrivals(ledger, [style for style, _ in styles.values()], tally),
        extremes=read_extremes(ledger.folder, tally.scores),
        gallery=list(gallery_rows(ledger)),
        paths=read_paths(ledger),
        failures=list(_failures(failures)),
        timing=_timing(footers),
        throughput=_throughput(footers),
        sizes=_sizes(footers),
        runs=[_run(ledger, plan) for plan in ledger.chain],
        verification=None if verification is None else _verification(verification),
    )


def _facts(ledger: Ledger) -> Mapping[str, str]:
    if not ledger.chain:
        return {}
    last = ledger.chain[-1]
    images = ", ".join(f"{key} {value}" for key, value in last.images.model_dump().items())
    facts = {"corpus": last.corpus.uri, "images": images, "seed": str(last.seed), "scores": last.clip}
    if last.judge != "none":
        facts["judge"] = last.judge
    for method in dict.fromkeys(style.method for plan in ledger.chain for style in plan.styles):
        values = method.model_dump(mode="json", exclude={"name"}, exclude_none=True)
        facts[f"method {method.name}"] = ", ".join(f"{key} {value}" for key, value in values.items())
    return facts


def _styles(
    styles: Collection[tuple[PlannedStyle, str]], tally: Tally, failures: Sequence[pa.Table]
) -> list[StyleSummary]:
    """Counts of every style; references and scores of those that the page has room for."""
    failed = Counter(digest for table in failures for digest in wanted_digests(table).to_pylist())
    stores = {uri: RepresentationStore(uri, CACHE_BYTES) for uri in {uri for _, uri in styles}}
    for store in stores.values():
        ROWS.copies.look_in(store.folder)
    summaries = []
    for number, (style, uri) in enumerate(styles):
        references = show_references(style, stores[uri]) if number < STYLES else []
        references = [_add_region(one, tally, (number, k)) for k, one in enumerate(references)]
        summaries.append(
            StyleSummary(
                name=style.name,
                method=style.method.name,
                weights=style.weights_digest,
                digest=style.digest,
                records=int(tally.records[number]),
                failed=failed[style.digest],
                references=references,
                more_references=len(style.references) - len(references),
                regions=describe_regions(style) if number < STYLES else "",
                scores=tally.scores.summaries(number),
                inverted=show_inversions(style, stores[uri]) if number < STYLES else [],
                renderer=name_renderer(style),
                step=place_step(style),
            )
        )
    return summaries


def _add_region(reference: StyleReference, tally: Tally, key: tuple[int, int]) -> StyleReference:
    """A reference with what became of its regions, where it has any."""
    share, direction = (means.get(key, Mean()).value for means in (tally.shares, tally.scores.directions))
    return replace(reference, share=share, direction=direction)


def _failures(failures: Sequence[pa.Table]) -> Iterator[FailureReason]:
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], dict[str, Any]] = {}
    for table in failures:
        for row in table.to_pylist():
            key = (row["error_class"], row["error_stage"])
            counts[key] += 1
            examples.setdefault(key, row)
    for key, count in counts.most_common():
        yield FailureReason(*key, count, examples[key]["content_id"], examples[key]["error_message"])


def _timing(footers: Sequence[ShardFooter]) -> list[StageTime]:
    if not footers:
        return []
    seconds: Counter[str] = Counter()
    for footer in footers:
        seconds.update(footer.seconds)
    actors = max(footer.actors for footer in footers)
    shown = [stage for stage in (*ACTOR_STAGES, *CODEC_STAGES) if seconds[stage] > 0]
    return [StageTime(s.replace("_", " for "), seconds[s], actors * (2 if s in CODEC_STAGES else 1)) for s in shown]


def _throughput(footers: Sequence[ShardFooter]) -> Throughput | None:
    """Rates while actors were at work: their busy time is divided by how many there were."""
    records = sum(footer.records for footer in footers)
    wall = sum(footer.seconds.get("busy", 0.0) / footer.actors for footer in footers)
    if not wall:
        return None
    batches = sum(size.batches for footer in footers for size in footer.batches)
    filled = sum(size.fill * size.batches for footer in footers for size in footer.batches)
    images = sum(size.images for footer in footers for size in footer.batches)
    return Throughput(
        images_per_second=images / wall,
        records_per_second=records / wall,
        wall_seconds=wall,
        actors=max(footer.actors for footer in footers),
        device=", ".join(sorted({footer.device for footer in footers})),
        bytes_in=sum(footer.source_bytes for footer in footers),
        bytes_out=sum(footer.picture_bytes for footer in footers),
        batch_fill=filled / batches if batches else None,
    )


def _sizes(footers: Iterable[ShardFooter]) -> list[SizeFill]:
    found = defaultdict(list)
    for footer in footers:
        for size in footer.batches:
            found[size.height, size.width].append(size)
    return [
        SizeFill(
            *key,
            images=sum(size.images for size in sizes),
            batches=sum(size.batches for size in sizes),
            fill=sum(size.fill * size.batches for size in sizes) / sum(size.batches for size in sizes),
        )
        for key, sizes in sorted(found.items())
    ]


def _run(ledger: Ledger, plan: Plan) -> RunRow:
    footers = [f for (seq, _), (f, _) in ledger.footers.items() if seq == plan.seq and f and not f.abandoned]
    return RunRow(
        seq=plan.seq,
        created=plan.created,
        records=sum(footer.records for footer in footers),
        failed=sum(footer.failed for footer in footers),
        seconds=sum(footer.seconds.get("busy", 0.0) / footer.actors for footer in footers),
    )


def _verification(found: Verification) -> list[str]:
    still = [f"{found.open_shards} shards are still open"] if found.open_shards else []
    return [*found.problems, *still]
