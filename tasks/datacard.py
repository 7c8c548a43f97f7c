"""The card of a dataset of drawn styles: what it holds, by split and label, and what it was made of and with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from tasks.banks.kept import read_manifest
from tasks.dataset.ledger import Ledger, read_columns, shard_name
from tasks.labelled.features import names_in_schema
from tasks.plan import Plan
from tasks.records import RequestError
from tasks.styles import PlannedStyle

NAME, FIGURES = "README.md", "datacard.json"
SPLIT, LABELS = "split", ("label", "class", "category")
SHOWN = 40
BINS = 10
# As the Hugging Face hub names them.
SIZES = ((1000, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


@dataclass
class Counts:
    """What is counted of the records; strengths in `BINS` equal parts from 0 to 1."""

    records: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)  # by split and label
    styles: set[str] = field(default_factory=set)
    strengths: Any = field(default_factory=lambda: np.zeros(BINS, np.int64))
    strength_sum: float = 0.0
    strength_ends: tuple[float, float] = (1.0, 0.0)


def write_card(ledger: Ledger) -> str:
    """Write `README.md` and `datacard.json` beside the data; gives the URI of the first."""
    figures = measure(ledger)
    ledger.folder.publish(FIGURES, json.dumps(figures, indent=1).encode(), create=False)
    ledger.folder.publish(NAME, describe(figures).encode(), create=False)
    return f"{ledger.folder.uri}/{NAME}"


def measure(ledger: Ledger) -> dict[str, Any]:
    """Every figure of the card, as plain values."""
    draws = {style.digest: (plan, style) for plan in ledger.chain for style in plan.styles if style.draw is not None}
    columns = _columns(ledger)
    counts = Counts()
    for table in _tables(ledger, columns):
        _count(counts, table, columns)
    failures = Counter(str(row) for table in ledger.failures() for row in table["error_class"].to_pylist())
    last = ledger.chain[-1]
    return {
        "name": ledger.folder.uri.rstrip("/").rsplit("/", 1)[-1],
        "corpus": _place(last.corpus.uri),
        "records": counts.records,
        "failed": sum(failures.values()),
        "failures": dict(failures.most_common()),
        "splits": dict(sorted(counts.parts.items())),
        "label_column": columns.label,
        "labels": [[*key, count] for key, count in sorted(counts.labels.items())],
        "styles_used": len(counts.styles),
        "strengths": _strengths(counts),
        "images": last.images.model_dump(mode="json"),
        "seed": last.seed,
        "draws": [_draw(plan, style) for plan, style in draws.values()],
        "banks": [_bank(ledger, key) for key in dict.fromkeys(s.draw.bank for _, s in draws.values() if s.draw)],
    }


def _place(uri: str) -> str:
    """Where something was, without the folders of a machine: a card is made to be published."""
    return uri if "://" in uri else uri.rstrip("/").rsplit("/", 1)[-1]


@dataclass(frozen=True)
class _Columns:
    """Which columns hold split and label, and names of label numbers."""

    split: str | None
    label: str | None
    names: Sequence[str]

    @property
    def read(self) -> list[str]:
        return ["style_digest", "strength", *(one for one in (self.split, self.label) if one is not None)]


def _columns(ledger: Ledger) -> _Columns:
    """By the first shard: the part of the bank is the split; else a column of that name."""
    schema = next(iter(_schemas(ledger)), pa.schema([]))
    drawn_in_parts = any(s.draw.split is not None for plan in ledger.chain for s in plan.styles if s.draw)
    names = names_in_schema(schema.metadata)
    split = "bank_part" if drawn_in_parts else SPLIT if SPLIT in schema.names else None
    label = next((one for one in (*LABELS, *names) if one in schema.names and one != split), None)
    return _Columns(split, label, names.get(label or "", ()))


def _schemas(ledger: Ledger) -> Iterator[pa.Schema]:
    for key, (footer, rows) in ledger.footers.items():
        if footer and rows:
            with ledger.folder.open(f"data/{shard_name(*key)}") as file:
                yield pq.read_schema(file)


def _tables(ledger: Ledger, columns: _Columns) -> Iterator[pa.Table]:
    for key, (footer, rows) in ledger.footers.items():
        if footer and rows:
            yield read_columns(ledger.folder, f"data/{shard_name(*key)}", columns.read)


def _count(counts: Counts, table: pa.Table, columns: _Columns) -> None:
    counts.records += table.num_rows
    counts.styles.update(pc.unique(table["style_digest"]).to_pylist())
    splits = _words(table, columns.split, ())
    counts.parts.update(splits)
    if columns.label is not None:
        counts.labels.update(zip(splits, _words(table, columns.label, columns.names), strict=True))
    values_N = table["strength"].drop_null().to_numpy()
    if len(values_N):
        counts.strengths += np.histogram(values_N, BINS, (0, 1))[0]
        counts.strength_sum += float(values_N.sum(dtype=np.float64))
        least, most = counts.strength_ends
        counts.strength_ends = (min(least, float(values_N.min())), max(most, float(values_N.max())))


def _words(table: pa.Table, column: str | None, names: Sequence[str]) -> list[str]:
    if column is None or column not in table.column_names:
        return ["all"] * table.num_rows
    values = table[column].to_pylist()
    return [names[v] if isinstance(v, int) and 0 <= v < len(names) else str(v)[:100] for v in values]


def _strengths(counts: Counts) -> dict[str, Any]:
    total = int(counts.strengths.sum())
    if not total:
        return {}
    least, most = counts.strength_ends
    mean = counts.strength_sum / total
    return {"least": least, "mean": round(mean, 4), "most": most, "tenths": counts.strengths.tolist()}


def _draw(plan: Plan, style: PlannedStyle) -> dict[str, Any]:
    assert style.draw is not None
    return {
        "name": style.name,
        "plan": plan.seq,
        "bank": style.draw.bank,
        "number": style.draw.number,
        "strength": style.draw.strength,
        "split": None if style.draw.split is None else style.draw.split.model_dump(mode="json"),
        "method": style.method.model_dump(mode="json"),
        "method_version": style.version,
        "weights": style.weights_digest,
        "weights_from": style.method.weight_references(),
    }


def _bank(ledger: Ledger, key: str) -> dict[str, Any]:
    sources = {s.draw.source for plan in ledger.chain for s in plan.styles if s.draw and s.draw.bank == key}
    try:
        bank = read_manifest(ledger.folder, key)
    except RequestError as error:
        return {"key": key, "problem": str(error)}
    licences = Counter("not given" if one is None else one for one in bank.table["licence"].to_pylist())
    left_out = [{"name": name, "reason": reason} for name, reason in bank.left_out]
    return {
        "key": key,
        "sources": sorted({_place(source) for source in sources if source}),
        "styles": len(bank),
        "licences": dict(licences.most_common(SHOWN)),
        "left_out": len(left_out),
        "examples_left_out": left_out[:SHOWN],
    }


def describe(figures: dict[str, Any]) -> str:
    """The card in Markdown, with the head that the Hugging Face hub reads."""
    head = {
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}]},
        ],
        "size_categories": [next((name for most, name in SIZES if figures["records"] < most), "n>10M")],
        "tags": ["atelier", "stylized", "style-transfer", "synthetic"],
        "pretty_name": figures["name"],
    }
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
        f"# {_plain(figures['name'])}",
        _describe_whole(figures),
        _describe_counts(figures),
        _describe_making(figures),
        *(_describe_bank(bank) for bank in figures["banks"]),
        _describe_loading(figures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _describe_whole(figures: dict[str, Any]) -> str:
    reasons = ", ".join(f"{count} {_plain(reason)}" for reason, count in figures["failures"].items())
    failed = f" {figures['failed']} pairs failed ({reasons}): see `failures/`." if figures["failed"] else ""
    return (
        f"{figures['records']} pictures of `{_plain(figures['corpus'])}` in {figures['styles_used']} styles, drawn by "
        f"a hash of each picture's own id (seed {figures['seed']}).{failed} The pictures' own columns came along."
    )


def _describe_counts(figures: dict[str, Any]) -> str:
    if not figures["labels"]:
        rows = [[split, str(count)] for split, count in figures["splits"].items()]
        return _table(["split", "pictures"], rows)
    rows = [[split, label, str(count)] for split, label, count in figures["labels"]]
    more = f"\n\nand {len(rows) - SHOWN} more in `{FIGURES}`." if len(rows) > SHOWN else ""
    return _table(["split", figures["label_column"], "pictures"], rows[:SHOWN]) + more


def _describe_making(figures: dict[str, Any]) -> str:
    rows = [
        [draw["name"], draw["method"]["name"], draw["method_version"], draw["weights"][:16], _range(draw["strength"])]
        for draw in figures["draws"]
    ]
    table = _table(["draw", "method", "version", "weights (SHA-256)", "strength"], rows)
    found = figures["strengths"]
    spread = f"\n\nStrengths: {found['least']:.3f} to {found['most']:.3f}, mean {found['mean']:.3f}." if found else ""
    images = ", ".join(f"{key} {value}" for key, value in figures["images"].items())
    return f"## How it was made\n\n{table}{spread}\n\nPictures: {images}."


def _describe_bank(bank: dict[str, Any]) -> str:
    title = f"## Bank {bank['key'][:12]}"
    if "problem" in bank:
        return f"{title}\n\n{bank['problem']}"
    licences = ", ".join(f"{_plain(name)}: {count}" for name, count in bank["licences"].items())
    places = ", ".join(f"`{_plain(source)}`" for source in bank["sources"])
    where = f" of {places}" if places else ""
    out = f" {bank['left_out']} pictures were left out, by name in `{FIGURES}`." if bank["left_out"] else ""
    listed = f"All of them: `banks/{bank['key']}.parquet`."
    return f"{title}\n\n{bank['styles']} styles{where}. Licences: {licences}.{out} {listed}"


def _describe_loading(figures: dict[str, Any]) -> str:
    parts = [name for name in figures["splits"] if name != "all"]
    filters = f', filters=[("bank_part", "=", "{_plain(parts[0])}")]' if parts else ""
    return (
        "## Loading\n\n```python\nfrom datasets import load_dataset\n\n"
        f'records = load_dataset("parquet", data_files="data/*.parquet", split="train"{filters})\n```'
    )


def _range(strength: Sequence[float] | None) -> str:
    if strength is None:
        return "the method's"
    return f"{strength[0]:g}" if strength[0] == strength[1] else f"{strength[0]:g} to {strength[1]:g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Names as text: nothing of Markdown or HTML in them counts."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("`", "'")
