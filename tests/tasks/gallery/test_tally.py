"""The pass over all scores: equal to what numpy says of the whole, and bounded where the dataset is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.dataset.ledger import Ledger
from tasks.gallery.tally import COLUMNS, ENDS, REGIONS, Place, Tally, tally_records
from tasks.records import SCORES


def rows(styles: list[str], direction: list[float | None], model: str | None = "small", **scores: Any) -> pa.Table:
    columns: dict[str, Any] = {name: [None] * len(styles) for name in SCORES}
    columns |= {"style_digest": styles, "clip_model": [model] * len(styles), "clip_direction": direction, **scores}
    fields = [(name, pa.float32() if name in SCORES else pa.string()) for name in COLUMNS]
    return pa.table(columns, schema=pa.schema(fields))


def styles_of(ledger: Ledger) -> dict[str, str]:
    return {style.digest: style.name for plan in ledger.chain for style in plan.styles}


def test_a_tally_is_that_of_all_records_at_once(ledger: Ledger) -> None:
    digests = list(styles_of(ledger))
    tally = tally_records(ledger, digests, 48)
    names = sorted(f"{ledger.folder.uri}/{name}" for name in ledger.data)
    whole = pa.concat_tables([pq.read_table(name, columns=COLUMNS).replace_schema_metadata() for name in names])
    assert tally.records.tolist() == [7, 7, 7]
    assert [len(tally.holders[number]) for number in range(3)] == [3, 3, 3]
    for number, digest in enumerate(digests):
        mine = np.asarray(whole["style_digest"].to_pylist()) == digest
        summaries = tally.scores.summaries(number)
        assert set(summaries) == {"clip_image", "clip_content", "clip_direction"}
        for name, summary in summaries.items():
            values = whole[name].to_numpy()[mine]
            assert (summary.count, summary.at(0), summary.at(100)) == (7, values.min(), values.max())
            assert summary.mean == pytest.approx(values.mean())
            assert summary.percentiles == pytest.approx(np.percentile(values, np.arange(101)).tolist(), abs=0.0005)


def test_regions_are_counted_by_reference() -> None:
    def regions(share: float, *directions: float | None) -> list[dict[str, object]]:
        shares = (share, 1 - share)
        return [
            {"reference": k, "share": one, "clip_direction": direction}
            for k, (one, direction) in enumerate(zip(shares, directions, strict=True))
        ]

    parts = [regions(0.25, 0.5, 0.1), None, regions(0.75, 0.7, None), None]
    table = rows(["a", "b", "a", "b"], [0.1] * 4).append_column(REGIONS, pa.array(parts))
    tally = Tally(["a", "b"], 2)
    tally.add("s", rows(["a", "b"], [0.2, 0.3]))  # a shard of before there were regions
    tally.add("s", table)
    assert {key: mean.value for key, mean in tally.shares.items()} == {(0, 0): 0.5, (0, 1): 0.5}
    directions = {key: mean.value for key, mean in tally.scores.directions.items()}
    assert directions == {(0, 0): pytest.approx(0.6), (0, 1): pytest.approx(0.1)}

    for model, parts in ((None, regions(0.2, None, None)), ("other", regions(0.8, 0.3, None))):
        column = pa.array([parts], table[REGIONS].type)
        tally.add("s", rows(["a"], [0.1 if model else None], model).append_column(REGIONS, column))
    # Shares are of all records, directions of those that the newest model scored.
    assert {key: mean.value for key, mean in tally.shares.items()} == {(0, 0): 0.5, (0, 1): 0.5}
    assert tally.shares[0, 0].count == 4
    assert {key: mean.value for key, mean in tally.scores.directions.items()} == {(0, 0): pytest.approx(0.3)}


def test_the_ends_are_the_highest_and_the_lowest_wherever_they_lie() -> None:
    values = np.random.default_rng(0).permutation(np.linspace(-0.9, 0.9, 300)).astype(np.float32)
    tally = Tally(["a", "b"], 1)
    for shard in range(3):
        tally.add(f"s{shard}", rows(["a", "b"] * 50, values[100 * shard : 100 * shard + 100].tolist()))
    ends = tally.scores.ends()
    order = np.argsort(values)
    assert ends == ("clip_direction", [place(i) for i in order[::-1][:ENDS]], [place(i) for i in order[:ENDS]])


def place(index: int) -> Place:
    return Place(f"s{index // 100}", int(index % 100))


@pytest.mark.parametrize(("count", "best", "worst"), [(1, 1, 0), (2, 1, 1), (5, 3, 2), (40, ENDS, ENDS)])
def test_no_record_is_among_the_best_and_the_worst(count: int, best: int, worst: int) -> None:
    tally = Tally(["a"], 1)
    tally.add("s", rows(["a"] * count, [0.5] * count))
    ends = tally.scores.ends()
    assert ends is not None
    assert (len(ends[1]), len(ends[2])) == (best, worst)
    if count > 2 * ENDS:
        assert ends[1] == ends[2] == [Place("s", row) for row in range(ENDS)]
    else:
        assert ends[1][0] == Place("s", 0)


def test_where_nothing_has_a_direction_the_score_to_the_text_ranks() -> None:
    tally = Tally(["a"], 1)
    tally.add("s", rows(["a", "a"], [None, None], clip_text=[0.1, 0.3], clip_image=[0.9, 0.8]))
    assert tally.scores.ends() == ("clip_text", [Place("s", 1)], [Place("s", 0)])
    assert set(tally.scores.summaries(0)) == {"clip_text", "clip_image"}


def test_scores_of_another_model_are_left_out_and_counted() -> None:
    tally = Tally(["a"], 1)
    tally.add("s0", rows(["a"] * 3, [0.9, 0.8, 0.7], "old"))
    tally.add("s1", rows(["a"] * 2, [0.1, 0.2], "new"))
    assert (tally.model, tally.scored_by_others, tally.records.tolist()) == ("new", 3, [5])
    assert tally.scores.summaries(0)["clip_direction"].at(100) == pytest.approx(0.2)
    assert tally.scores.ends() == ("clip_direction", [Place("s1", 1)], [Place("s1", 0)])


def test_without_scores_records_are_counted_all_the_same() -> None:
    tally = Tally(["a", "b"], 2)
    tally.add("s", rows(["b", "unknown"], [None, None], None))
    assert (tally.records.tolist(), tally.model, tally.scored_by_others) == ([0, 1], "", 0)
    assert tally.scores.ends() is None
    assert tally.scores.summaries(1) == {}


def test_only_styles_that_are_drawn_take_memory() -> None:
    tally = Tally([f"style {number}" for number in range(1000)], 2)
    tally.add("s", rows([f"style {number}" for number in range(1000)], [0.1] * 1000))
    assert int(tally.records.sum()) == 1000
    assert set(tally.holders) == {0, 1}
    assert {style for style, _ in tally.scores.spreads} == {0, 1}
