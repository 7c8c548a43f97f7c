"""The report in short, as Markdown: what a dashboard shows beside the link to the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tasks.report.formats import count, duration, percent, rate, score, score_label, shorten
from tasks.report.model import FailureReason, IntendedMatrix, ReportData, StyleSummary
from tasks.report.verdict import state_bottleneck

ROWS = 20


def render_summary(data: ReportData) -> str:
    """Markdown with the counts, the bottleneck, and tables of styles and of failures (20 rows each)."""
    parts = [f"# {_plain(data.title)}", _state_counts(data)]
    if data.timing:
        parts.append(state_bottleneck(data.timing, data.throughput.wall_seconds if data.throughput else 0.0))
    if data.verification is not None:
        parts.append(_state_verification(data.verification))
    parts += [_state_arrival(matrix) for matrix in data.arrivals.matrices]
    parts += [_plain(note) for note in data.arrivals.notes]
    if data.styles:
        parts.append(_tabulate_styles(data.styles[:ROWS]))
    if data.failures:
        parts.append(_tabulate_failures(sorted(data.failures, key=lambda reason: -reason.count)[:ROWS]))
    return "\n\n".join(parts) + "\n"


def _state_counts(data: ReportData) -> str:
    text = f"{count(data.records)} records, {count(data.failed)} failed ({percent(data.failed_share)})"
    if data.throughput is None:
        return f"{text}."
    speed = data.throughput
    return f"{text}; {rate(speed.images_per_second)} images a second over {duration(speed.wall_seconds)}."


def _state_verification(problems: Sequence[str]) -> str:
    if not problems:
        return "Verified: every owned pair has exactly one record."
    return "\n".join(f"- {_plain(problem)}" for problem in problems[:ROWS])


def _state_arrival(matrix: IntendedMatrix) -> str:
    outputs, chance = sum(matrix.outputs), 1 / len(matrix.styles)
    return (
        f"By the {_plain(matrix.role)} {_plain(matrix.model)} the intended style comes first for "
        f"{percent(matrix.first_overall)} of {count(outputs)} outputs (by chance {percent(chance)})."
    )


def _tabulate_styles(styles: Sequence[StyleSummary]) -> str:
    names = list(dict.fromkeys(name for style in styles for name in style.scores))
    rows = [
        [style.name, style.method, count(style.records), count(style.failed)]
        + [score(style.scores[name].at(50)) if name in style.scores else "" for name in names]
        for style in styles
    ]
    medians = [f"{score_label(name)}, median" for name in names]
    return _tabulate(["Style", "Method", "Records", "Failed", *medians], rows)


def _tabulate_failures(failures: Sequence[FailureReason]) -> str:
    rows = [
        [one.error_class, one.stage, count(one.count), one.example_content_id, one.example_message] for one in failures
    ]
    return _tabulate(["Reason", "Stage", "Records", "For example", "Message"], rows)


def _tabulate(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [[_plain(cell) for cell in row] for row in (names, *rows)]
    lines.insert(1, ["---"] * len(names))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """The text on one line with all that Markdown or HTML would read as markup escaped."""
    flat = " ".join(shorten(text, 160).split())
    return re.sub(r"([\\`*_{}\[\]()#+!|~<>&:-])", r"\\\1", flat)
