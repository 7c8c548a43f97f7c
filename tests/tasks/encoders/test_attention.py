"""Attention in chunks, its gate, and its weights for regions, each against what it must come to."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.encoders.attention import (
    attend,
    attend_statistics,
    choose_tokens,
    log_weights,
    shallow_keys,
    to_maps,
    to_tokens,
    weigh_regions,
)
from tasks.encoders.gating import ContentGate, gate_thresholds
from tasks.encoders.statistics import normalise_channels

CLOSE = {"atol": 1e-4, "rtol": 0.0}
QUERIES, TOKENS, DEPTH, CHANNELS = 200, 1100, 16, 24  # more tokens than a block of a fused kernel has


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """Scores of up to about 20, so that some tokens count for nearly all."""
    return draw(2, QUERIES, DEPTH), draw(2, TOKENS, DEPTH, seed=1), draw(2, TOKENS, CHANNELS, seed=2)


def shares(queries_BQD: Tensor, keys_BKD: Tensor, added_BQK: Tensor | float = 0.0) -> Tensor:
    """What `attend` must weigh values with, in the open: BQK."""
    return torch.softmax((queries_BQD @ keys_BKD.mT + added_BQK).double(), dim=2)


@pytest.mark.parametrize("channels", [3, DEPTH, CHANNELS], ids=["narrower", "as-wide", "wider"])
def test_it_is_the_softmax_of_the_scores(inputs: tuple[Tensor, ...], channels: int) -> None:
    """Whichever of keys and values is wider, with a scale, in whatever precision they come."""
    queries, keys, values = inputs[0], inputs[1], inputs[2][..., :channels]
    expected = shares(0.3 * queries, keys) @ values.double()
    assert_close(attend(queries, keys, values, scale=0.3).double(), expected, **CLOSE)
    halved = attend(queries.bfloat16(), keys.bfloat16(), values.bfloat16(), scale=0.3)
    assert halved.dtype == torch.float32
    assert_close(halved.double(), expected, atol=0.05, rtol=0)


@pytest.mark.parametrize("memory", [1, 10**5, 10**6, 10**7])
@pytest.mark.parametrize("gated", [False, True])
def test_chunks_change_nothing(inputs: tuple[Tensor, ...], memory: int, gated: bool) -> None:
    queries, keys, values = inputs
    thresholds = gate_thresholds(queries, keys, 1.0) if gated else None
    whole = attend_statistics(queries, keys, values, thresholds_BQ=thresholds, memory=10**12)
    parts = attend_statistics(queries, keys, values, thresholds_BQ=thresholds, memory=memory)
    for part, expected in zip(parts, whole, strict=True):
        assert_close(part, expected, **CLOSE)


def test_large_scores_do_not_overflow() -> None:
    """Unscaled ones reach thousands: the best token alone counts."""
    keys = torch.eye(3)[None] * 4000
    attended = attend(torch.eye(3)[None, [2, 0]], keys, torch.tensor([[[1.0], [2.0], [3.0]]]))
    assert_close(attended[0, :, 0], torch.tensor([3.0, 1.0]))


def test_statistics_are_the_weighted_mean_and_deviation(inputs: tuple[Tensor, ...]) -> None:
    queries, keys, values = (tensor[:, :50] for tensor in inputs)
    weights, values_64 = shares(queries, keys), values.double()
    mean = weights @ values_64
    squares = (values_64[:, None] - mean[:, :, None]).square()
    deviation = torch.einsum("bqk,bqkc->bqc", weights, squares).sqrt()
    found = attend_statistics(queries, keys, values)
    assert_close(found[0].double(), mean, **CLOSE)
    assert_close(found[1].double(), deviation, atol=1e-3, rtol=0)  # differences of squares cancel


def test_epsilon_is_below_the_root(inputs: tuple[Tensor, ...]) -> None:
    """One token has no deviation, and a gradient only with an epsilon."""
    queries, keys, values = (tensor[:1, :1].clone().requires_grad_() for tensor in inputs)
    _, deviation = attend_statistics(queries, keys, values, epsilon=1e-4)
    assert_close(deviation, torch.full_like(deviation, 1e-2))
    deviation.sum().backward()
    assert values.grad is not None
    assert bool(values.grad.isfinite().all())


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.5, 0.3), (-2.0, 1.0)])
def test_the_closed_form_of_the_gate_is_a_mean_of_scores(inputs: tuple[Tensor, ...], alpha: float, beta: float) -> None:
    queries, keys, _ = inputs
    scores = 0.3 * queries @ keys.mT
    assert_close(gate_thresholds(queries, keys, 0.3, alpha, beta), alpha * scores.mean(2) - beta, atol=1e-5, rtol=0)


def test_the_gate_leaves_out_what_scores_below(inputs: tuple[Tensor, ...]) -> None:
    queries, keys, values = inputs
    thresholds = gate_thresholds(queries, keys, 1.0)
    scores = queries @ keys.mT
    left_out = scores <= thresholds[..., None]
    assert 0.3 < float(left_out.float().mean()) < 0.7
    expected = shares(queries, keys, torch.zeros_like(scores).masked_fill(left_out, -torch.inf)) @ values.double()
    assert_close(attend(queries, keys, values, thresholds_BQ=thresholds).double(), expected, **CLOSE)


def test_a_query_with_nothing_above_its_threshold_keeps_all(inputs: tuple[Tensor, ...]) -> None:
    queries, keys, values = inputs
    thresholds = (queries @ keys.mT).amax(2) + 1
    thresholds[:, 0] = -1e9  # and one that keeps all by its threshold
    assert_close(attend(queries, keys, values, thresholds_BQ=thresholds), attend(queries, keys, values), **CLOSE)


def test_the_best_token_alone_may_be_left(inputs: tuple[Tensor, ...]) -> None:
    queries, keys, values = inputs
    best = (queries @ keys.mT).topk(2, dim=2)
    attended = attend(queries, keys, values, thresholds_BQ=best.values.mean(2))
    expected = torch.stack([row[index] for row, index in zip(values, best.indices[..., 0], strict=True)])
    assert_close(attended, expected, **CLOSE)


def test_regions_are_gated_each_on_its_own(inputs: tuple[Tensor, ...]) -> None:
    queries, keys, values = inputs
    counts = [400, TOKENS - 400]
    each = [gate_thresholds(queries, part, 1.0) for part in keys.split(counts, 1)]
    attended = attend(queries, keys, values, thresholds_BQ=torch.stack(each, 2), counts=counts)
    scores = queries @ keys.mT
    left_out = torch.cat([s <= t[..., None] for s, t in zip(scores.split(counts, 2), each, strict=True)], 2)
    expected = shares(queries, keys, torch.zeros_like(scores).masked_fill(left_out, -torch.inf)) @ values.double()
    assert_close(attended.double(), expected, **CLOSE)


def test_thresholds_learn() -> None:
    """The gate of a content has a gradient, and following it changes what is attended to for the better."""
    features, keys, values = draw(1, 6, 5, 4), draw(1, 40, 6, seed=1), draw(1, 40, 3, seed=2)
    gate = ContentGate(6)
    queries = to_tokens(features)
    attended = attend(queries, keys, values, thresholds_BQ=gate(features, queries, keys, 1.0))
    attended.square().sum().backward()
    for parameter in gate.parameters():
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 1e-4
        assert bool(parameter.grad.isfinite().all())


def test_a_fresh_gate_is_the_mean(inputs: tuple[Tensor, ...]) -> None:
    features, keys = draw(2, DEPTH, 7, 9), inputs[1]
    queries = to_tokens(features)
    assert_close(ContentGate(DEPTH)(features, queries, keys, 0.5), gate_thresholds(queries, keys, 0.5))


def weighed(inputs: tuple[Tensor, ...], weights_BQR: Tensor, counts: list[int]) -> Tensor:
    queries, keys, values = inputs
    return attend(*weigh_regions(queries, keys, log_weights(weights_BQR), counts), values)


def test_a_weight_multiplies_the_share_of_its_region(inputs: tuple[Tensor, ...]) -> None:
    queries, keys, values = inputs
    counts, weights = [300, TOKENS - 300], torch.rand(2, QUERIES, 2, generator=torch.Generator().manual_seed(3))
    factors = torch.cat([weights[..., r : r + 1].expand(-1, -1, count) for r, count in enumerate(counts)], 2)
    products = shares(queries, keys) * factors
    expected = products / products.sum(2, keepdim=True) @ values.double()
    assert_close(weighed(inputs, weights, counts).double(), expected, **CLOSE)


def test_equal_weights_are_none(inputs: tuple[Tensor, ...]) -> None:
    weights = torch.full((1, 1, 2), 0.5)
    assert_close(weighed(inputs, weights, [300, TOKENS - 300]), attend(*inputs), **CLOSE)


def test_a_region_fades_out_with_its_weight(inputs: tuple[Tensor, ...]) -> None:
    queries, keys, values = inputs
    alone = attend(queries, keys[:, :300], values[:, :300])
    counts = [300, TOKENS - 300]
    distances = [
        float((weighed(inputs, torch.tensor([[[1 - w, w]]]), counts) - alone).abs().max())
        for w in (0.5, 1e-3, 1e-6, 1e-12, 0.0)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 0.1
    assert distances[2:] == pytest.approx([0, 0, 0], abs=2e-2)
    assert distances[-1] < 1e-5


def test_a_mask_leaves_each_position_its_own_region(inputs: tuple[Tensor, ...]) -> None:
    """However much better the other region's tokens match: unscaled scores reach thousands."""
    queries, keys, values = inputs
    keys = torch.cat([keys[:, :300], 500 * keys[:, 300:]], 1)
    counts = [300, TOKENS - 300]
    first = (torch.arange(QUERIES) % 3 == 0).float()
    attended = weighed((queries, keys, values), torch.stack([first, 1 - first], 1)[None], counts)
    own = [attend(queries, k, v) for k, v in zip(keys.split(counts, 1), values.split(counts, 1), strict=True)]
    assert_close(attended, torch.where(first[None, :, None] > 0, *own), **CLOSE)


def test_chosen_tokens_are_those_of_the_seed() -> None:
    chosen = choose_tokens(1000, 30, seed=5)
    assert chosen is not None
    assert len(set(chosen.tolist())) == 30
    assert torch.equal(chosen, torch.randperm(1000, generator=torch.Generator().manual_seed(5))[:30])
    assert not torch.equal(chosen, choose_tokens(1000, 30, seed=6))
    assert choose_tokens(30, 30, seed=5) is None


def test_keys_are_the_level_and_all_finer_ones_normalised() -> None:
    features = [draw(2, 3, 12, 16), draw(2, 4, 6, 8, seed=1), draw(2, 5, 3, 4, seed=2)]
    keys = shallow_keys(features, 1)
    expected = [normalise_channels(features[0][..., ::2, ::2]), normalise_channels(features[1])]
    assert_close(keys, torch.cat(expected, 1))


def test_tokens_are_positions_row_by_row() -> None:
    maps = draw(2, 3, 4, 5)
    tokens = to_tokens(maps)
    assert torch.equal(tokens[1, 7], maps[1, :, 1, 2])
    assert torch.equal(to_maps(tokens, (4, 5)), maps)
