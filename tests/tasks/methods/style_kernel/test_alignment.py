"""The alignment and its gate: like attends to like from the start, and a threshold that is the closed form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from tasks.encoders.attention import attend, to_tokens
from tasks.encoders.gating import ContentGate, gate_thresholds
from tasks.encoders.statistics import normalise_channels
from tasks.methods.style_kernel.alignment import StyleAlignment

KEY_CHANNELS, CHANNELS, DEPTH = 24, 10, 24


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def alignment() -> StyleAlignment:
    torch.manual_seed(0)
    return StyleAlignment(KEY_CHANNELS, CHANNELS, DEPTH)


def test_at_first_a_position_attends_to_the_one_that_has_its_features(alignment: StyleAlignment) -> None:
    """The style is the content with its positions in another order; scores are sharpened to show where they peak."""
    keys, values = normalise_channels(draw(1, KEY_CHANNELS, 5, 6, seed=1)), draw(1, CHANNELS, 5, 6, seed=2)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(3))
    moved_keys, moved_values = (maps.flatten(2)[:, :, order].view_as(maps) for maps in (keys, values))
    alignment.scale = 100.0
    aligned = alignment(*alignment.look(keys), *alignment.tokens(moved_keys, moved_values))
    assert_close(aligned, F.layer_norm(values, values.shape[1:]), atol=1e-4, rtol=0)


def test_aligned_features_are_the_equation(alignment: StyleAlignment) -> None:
    """softmax over the kept of q . k / sqrt(D), written out for every query."""
    torch.nn.init.normal_(alignment.gate.levels.weight, std=0.05)
    content, style = draw(2, KEY_CHANNELS, 4, 5, seed=1), draw(2, KEY_CHANNELS, 3, 6, seed=2)
    style_values = draw(2, CHANNELS, 3, 6, seed=3)
    queries, levels = alignment.look(content)
    keys, values = alignment.tokens(style, style_values)
    scores = to_tokens(queries) @ keys.transpose(1, 2) / DEPTH**0.5
    alpha, beta = to_tokens(levels).unbind(2)
    kept = scores > (alpha * scores.mean(2) - beta)[..., None]
    assert 0.2 < kept.float().mean() < 0.8
    assert_close(values, to_tokens(alignment.value(F.layer_norm(style_values, style_values.shape[1:]))))
    expected = scores.masked_fill(~kept, -torch.inf).softmax(2) @ values
    assert_close(to_tokens(alignment(queries, levels, keys, values)), expected, atol=1e-5, rtol=1e-4)
    ungated = alignment(queries, None, keys, values)
    assert_close(to_tokens(ungated), scores.softmax(2) @ values, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(to_tokens(ungated), expected, atol=1e-3)


def test_memory_changes_nothing_beyond_rounding(alignment: StyleAlignment) -> None:
    content, style = draw(2, KEY_CHANNELS, 9, 7, seed=1), draw(2, KEY_CHANNELS, 6, 6, seed=2)
    look, tokens = alignment.look(content), alignment.tokens(style, draw(2, CHANNELS, 6, 6, seed=3))
    assert_close(alignment(*look, *tokens, memory=1), alignment(*look, *tokens), atol=1e-5, rtol=0)


def test_one_style_may_serve_all_contents(alignment: StyleAlignment) -> None:
    content, style = draw(3, KEY_CHANNELS, 4, 5, seed=1), draw(1, KEY_CHANNELS, 3, 6, seed=2)
    look, (keys, values) = alignment.look(content), alignment.tokens(style, draw(1, CHANNELS, 3, 6, seed=3))
    repeated = alignment(*look, keys.expand(3, -1, -1), values.expand(3, -1, -1))
    assert_close(alignment(*look, keys, values), repeated, atol=1e-5, rtol=0)


def test_a_threshold_is_its_closed_form() -> None:
    """alpha * mean_k(scale * q . k) - beta, over the whole matrix that it never makes."""
    queries, keys = draw(2, 7, DEPTH, seed=1), draw(2, 11, DEPTH, seed=2)
    alpha, beta = draw(2, 7, seed=3), draw(2, 7, seed=4)
    scores = 0.3 * queries @ keys.transpose(1, 2)
    assert_close(gate_thresholds(queries, keys, 0.3, alpha, beta), alpha * scores.mean(2) - beta)
    assert_close(gate_thresholds(queries, keys, 0.3), scores.mean(2))


def test_a_fresh_gate_keeps_about_half() -> None:
    """Alpha 1, beta 0: what scores above the mean."""
    content, keys = draw(1, DEPTH, 8, 8, seed=1), draw(1, 400, DEPTH, seed=2)
    queries = to_tokens(content)
    thresholds = ContentGate(DEPTH)(content, queries, keys, 1.0)
    assert_close(thresholds, (queries @ keys.transpose(1, 2)).mean(2))
    share = (queries @ keys.transpose(1, 2) > thresholds[..., None]).float().mean()
    assert 0.45 < share < 0.55


def test_a_query_whose_threshold_nothing_reaches_keeps_all() -> None:
    queries, keys, values = draw(1, 5, DEPTH, seed=1), draw(1, 8, DEPTH, seed=2), draw(1, 8, CHANNELS, seed=3)
    thresholds = torch.tensor([[-1e9, 1e9, torch.inf, -1e9, 1e9]])
    gated = attend(queries, keys, values, thresholds_BQ=thresholds)
    assert_close(gated, attend(queries, keys, values))


def test_a_query_whose_threshold_one_token_passes_takes_that_one() -> None:
    queries, keys, values = draw(1, 5, DEPTH, seed=1), draw(1, 8, DEPTH, seed=2), draw(1, 8, CHANNELS, seed=3)
    best = (queries @ keys.transpose(1, 2)).topk(2, dim=2).values
    gated = attend(queries, keys, values, thresholds_BQ=best.mean(2))
    picked = (queries @ keys.transpose(1, 2)).argmax(2)
    assert_close(gated[0], values[0, picked[0]])


def test_a_gate_learns_though_what_it_keeps_is_all_or_nothing(alignment: StyleAlignment) -> None:
    content, style = draw(1, KEY_CHANNELS, 4, 5, seed=1), draw(1, KEY_CHANNELS, 3, 6, seed=2)
    tokens = alignment.tokens(style, draw(1, CHANNELS, 3, 6, seed=3))
    alignment(*alignment.look(content), *tokens).square().sum().backward()
    for parameter in alignment.gate.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().sum() > 0


def test_gradients_change_no_values(alignment: StyleAlignment) -> None:
    """The straight-through estimator adds exactly nothing to what is computed."""
    content, style = draw(1, KEY_CHANNELS, 4, 5, seed=1), draw(1, KEY_CHANNELS, 3, 6, seed=2)
    tokens = alignment.tokens(style, draw(1, CHANNELS, 3, 6, seed=3))
    trained = alignment(*alignment.look(content), *tokens)
    with torch.no_grad():
        assert_close(trained, alignment(*alignment.look(content), *tokens), atol=1e-6, rtol=0)
