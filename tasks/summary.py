"""What a dataset's report shows, read from storage: bounded, however large the dataset."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.dataset.footer import ACTOR_STAGES, ShardFooter
from tasks.dataset.ledger import READERS, Ledger, read_columns, shard_name
from tasks.dataset.verify import Verification
from tasks.gallery import gallery_rows, style_thumbnail
from tasks.plan import Plan
from tasks.records import SCORES
from tasks.report.distributions import summarize_scores
from tasks.report.model import (
    FailureReason,
    ReportData,
    RunRow,
    ScoreSummary,
    SizeFill,
    StageTime,
    StyleSummary,
    Throughput,
)
from tasks.report.page import render_report
from tasks.storage import Folder

SUMMARY_COLUMNS = ["style_digest", *SCORES]
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
    rows, failures = _read_rows(ledger), ledger.failures()
    return ReportData(
        title=ledger.folder.uri.rstrip("/").rsplit("/", 1)[-1],
        root=ledger.folder.uri,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        plans=[plan.seq for plan in ledger.chain],
        facts=_facts(ledger),
        records=sum(footer.records for footer in footers),
        failed=sum(table.num_rows for table in failures),
        styles=_styles(ledger, rows, failures),
        gallery=list(gallery_rows(ledger)),
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
    for method in dict.fromkeys(style.method for plan in ledger.chain for style in plan.styles):
        values = method.model_dump(mode="json", exclude={"name"}, exclude_none=True)
        facts[f"method {method.name}"] = ", ".join(f"{key} {value}" for key, value in values.items())
    return facts


def _read_rows(ledger: Ledger) -> pa.Table:
    """Style and scores of every record; pictures are not read."""
    names = [f"data/{shard_name(*key)}" for key, (footer, rows) in ledger.footers.items() if footer and rows]

    def read(name: str) -> pa.Table:
        return read_columns(ledger.folder, name, SUMMARY_COLUMNS)

    with ThreadPoolExecutor(READERS) as pool:
        tables = [table.replace_schema_metadata() for table in pool.map(read, names)]
    return pa.concat_tables(tables) if tables else pa.table({name: [] for name in SUMMARY_COLUMNS})


def _styles(ledger: Ledger, rows: pa.Table, failures: Sequence[pa.Table]) -> list[StyleSummary]:
    styles = {style.digest: style for plan in ledger.chain for style in plan.styles}
    failed = Counter(digest for table in failures for digest in table["style_digest"].to_pylist())
    of_style = np.asarray(rows["style_digest"].to_pylist(), dtype=object)
    columns = {score: rows[score].to_numpy() for score in SCORES} if rows.num_rows else {}
    return [
        StyleSummary(
            name=style.name,
            method=style.method.name,
            weights=style.weights_digest,
            digest=digest,
            records=int((of_style == digest).sum()),
            failed=failed[digest],
            thumbnail=style_thumbnail(style),
            texts=[reference.text for reference in style.references if reference.text],
            scores=dict(_score_summaries(columns, of_style == digest)),
        )
        for digest, style in styles.items()
    ]


def _score_summaries(columns: Mapping[str, Any], chosen: Any) -> Iterator[tuple[str, ScoreSummary]]:
    for score, values in columns.items():
        summary = summarize_scores(values[chosen].tolist())
        if summary is not None:
            yield score, summary


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
