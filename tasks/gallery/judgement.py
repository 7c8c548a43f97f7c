"""Did the styles arrive?: a sample of the records, embedded anew by the model that scored and by one that judges.

Dimension key: S styles, P sampled outputs, D embedding.

The sample is a choice by position, the same every time: up to `OUTPUTS` records of each of the first `STYLES` styles,
from few shards. Outputs are read after their codec, so cosines differ a little from those in the records.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.dataset.ledger import Ledger, read_columns, read_rows
from tasks.gallery.contents import has_prompts, read_content, spread
from tasks.gallery.tally import Tally
from tasks.images.decoding import read_picture
from tasks.images.fitting import Pixels
from tasks.images.settings import ImageSettings
from tasks.plan import Plan
from tasks.records import ImageError, RequestError
from tasks.report.model import Arrivals, IntendedMatrix
from tasks.styles import PlannedStyle

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.scores.clip import ClipScorer

STYLES, OUTPUTS, OUTPUTS_IN_ALL = 12, 12, 120
# A style's outputs come from so many shards, or from more where those hold too few.
SHARDS = 3
# Longest side that is embedded: above what CLIP models see (224 to 384), and the sample stays within 100 MB.
SIDE = 448
COLUMNS = ["content_id", "style_digest", "plan", "shard", "image"]
# What a model that does not fit in memory or whose tensors do not fit each other raises.
MODEL_ERRORS = (RequestError, RuntimeError, OSError, ValueError)
PROMPTED = "Outputs of prompts have no content that they moved from; neutral photographs stand in its place."
ContentKey = tuple[int, str]


@dataclass(frozen=True)
class Output:
    """A sampled record: its picture, the style it was made in, and which content it was made of; None: a prompt."""

    pixels_HWC: Pixels
    style: int
    content: ContentKey | None


@dataclass(frozen=True)
class Sample:
    """Outputs and their contents, as they were stylized but for `SIDE`; prompts are not among them."""

    outputs: Sequence[Output]
    contents: Mapping[ContentKey, Pixels]


def judge_arrivals(ledger: Ledger, styles: Sequence[PlannedStyle], tally: Tally) -> Arrivals:
    """A matrix each by the newest plan's `clip` and `judge`; nothing without scores, or where styles are fewer than 2.

    `styles` are numbered as in the tally. What cannot be had (a model, a style's picture, the contents) is said in a
    note; nothing is raised for it.
    """
    # What contents draw is another style each time: there is none that many outputs were meant for.
    held, models = sorted(number for number in tally.holders if styles[number].draw is None), _models(ledger)
    if not models or len(held) < 2:
        return Arrivals()
    sample = read_sample(ledger, styles, {number: tally.holders[number] for number in held[:STYLES]})
    shown = sorted({output.style for output in sample.outputs})
    if len(shown) < 2:
        return Arrivals(notes=["Without its contents, which can no longer be read, the matrix cannot be made."])
    matrices, reasons = [], defaultdict(list)
    for role, reference in models.items():
        try:
            matrices.append(_ask(role, reference, [styles[number] for number in shown], shown, sample))
        except MODEL_ERRORS as error:
            reasons[str(error).strip() or type(error).__name__].append(f"the {role}")
    notes = [f"No matrix by {' and '.join(roles)}: {reason}" for reason, roles in reasons.items()]
    if matrices and any(output.content is None for output in sample.outputs):
        notes.append(PROMPTED)
    return Arrivals(matrices, int((tally.records > 0).sum()) - len(shown), notes)


def read_sample(ledger: Ledger, styles: Sequence[PlannedStyle], holders: Mapping[int, Sequence[str]]) -> Sample:
    """Outputs of some styles with their contents; those whose content is gone or has changed are left out."""
    numbers = {styles[number].digest: number for number in holders}
    plans = {plan.seq: plan for plan in ledger.chain}
    contents: dict[ContentKey, Pixels | None] = {}
    outputs = []
    for row in _read_records(ledger, {styles[number].digest: names for number, names in holders.items()}):
        plan = plans[row["plan"]]
        key = None if has_prompts(plan) else (plan.seq, row["content_id"])
        if key is not None and key not in contents:
            contents[key] = _content(ledger, plan, row["shard"], row["content_id"])
        pixels_HWC = _decode(row["image"]["bytes"], ImageSettings(size=SIDE))
        if pixels_HWC is not None and (key is None or contents[key] is not None):
            outputs.append(Output(pixels_HWC, numbers[row["style_digest"]], key))
    return Sample(outputs, {key: pixels for key, pixels in contents.items() if pixels is not None})


def _models(ledger: Ledger) -> dict[str, str]:
    """References by role; a judge that is the scorer itself would say nothing new."""
    if not ledger.chain or ledger.chain[-1].clip == "none":
        return {}
    clip, judge = ledger.chain[-1].clip, ledger.chain[-1].judge
    return {"scorer": clip} | ({} if judge in ("none", clip) else {"judge": judge})


def _ask(
    role: str, reference: str, styles: Sequence[PlannedStyle], numbers: Sequence[int], sample: Sample
) -> IntendedMatrix:
    # Only here: torch and open_clip take seconds to import, and a report without scores needs none of it.
    from tasks.encoders.clip import open_clip_model
    from tasks.references import load_style
    from tasks.samples.photographs import neutral_photographs
    from tasks.scores.arrival import measure_arrival
    from tasks.scores.clip import ClipScorer

    scorer = ClipScorer(open_clip_model(reference), neutral_photographs())
    # One by one: pictures of styles may be as large as those of a corpus.
    targets = [scorer.prepare([load_style(style)])[0] for style in styles]
    contents_PD = _embed_contents(scorer, sample)
    pictures = [output.pixels_HWC for output in sample.outputs]
    cosines_SP = scorer.compare_directions(pictures, contents_PD, targets)
    arrival = measure_arrival(cosines_SP, [numbers.index(output.style) for output in sample.outputs])
    return IntendedMatrix(
        role,
        scorer.model,
        [style.name for style in styles],
        arrival.margins_SS.tolist(),
        arrival.first_S.tolist(),
        arrival.outputs_S.tolist(),
    )


def _embed_contents(scorer: ClipScorer, sample: Sample) -> Tensor:
    """What each output moved from: its content; where that is a prompt, the mean of the neutral photographs."""
    import torch

    neutral_1D = scorer.neutral_image_D[None]
    embedded_ND = scorer.embed_contents(list(sample.contents.values())) if sample.contents else neutral_1D[:0]
    index: dict[ContentKey | None, int] = {key: row for row, key in enumerate(sample.contents)}
    index[None] = len(sample.contents)
    return torch.cat([embedded_ND, neutral_1D])[[index[output.content] for output in sample.outputs]]


def _read_records(ledger: Ledger, holders: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    """Up to `OUTPUTS` records of each style, spread over a few of its shards and over the rows there."""
    rows: dict[str, set[int]] = defaultdict(set)
    digests = {name: _digests(ledger, name) for name in {n for names in holders.values() for n in _reach(names)}}
    for digest, names in holders.items():
        wanted = min(OUTPUTS, OUTPUTS_IN_ALL // len(holders))
        part = -(-wanted // min(SHARDS, len(names)))
        for name in _reach(names):
            found = spread(np.flatnonzero(digests[name] == digest).tolist(), min(part, wanted))
            rows[name].update(found)
            wanted -= len(found)
    for name in sorted(name for name, chosen in rows.items() if chosen):
        yield from read_rows(ledger.folder, name, rows[name], COLUMNS).to_pylist()


def _digests(ledger: Ledger, name: str) -> NDArray[np.object_]:
    """The style of each row of a shard."""
    return np.asarray(read_columns(ledger.folder, name, ["style_digest"])["style_digest"].to_pylist(), dtype=object)


def _reach(names: Sequence[str]) -> list[str]:
    """A few shards spread over all, then the others, no more than there are outputs to take."""
    first = spread(names, SHARDS)
    return [*first, *(name for name in names if name not in first)][:OUTPUTS]


def _content(ledger: Ledger, plan: Plan, shard: int, content_id: str) -> Pixels | None:
    """A content as it was stylized, at most `SIDE` a side."""
    pieces = (planned.piece for planned in ledger.shards(plan).get(shard, []))
    piece = next((piece for piece in pieces if content_id in piece.content_ids()), None)
    entry = read_content(plan, piece, content_id) if piece else None
    size = SIDE if plan.images.size == "keep" else min(plan.images.size, SIDE)
    return _decode(entry.data, plan.images.model_copy(update={"size": size})) if entry and entry.data else None


def _decode(data: bytes, settings: ImageSettings) -> Pixels | None:
    try:
        return read_picture(data, settings).pixels_HWC
    except ImageError:
        return None
