"""Margins of intended styles, by hand."""

from __future__ import annotations

import pytest
import torch

from tasks.scores.arrival import measure_arrival

# Two styles against four outputs, two in each. Row means: 0.4 and 0.1.
COSINES = torch.tensor([[0.6, 0.5, 0.2, 0.3], [0.0, 0.3, 0.2, -0.1]])
STYLES = [0, 0, 1, 1]


def test_margins_are_means_minus_the_rows_mean_over_all_outputs() -> None:
    arrival = measure_arrival(COSINES, STYLES)
    assert torch.allclose(arrival.margins_SS, torch.tensor([[0.15, -0.15], [0.05, -0.05]]), atol=1e-6)
    assert arrival.outputs_S.tolist() == [2, 2]


def test_an_output_comes_first_where_its_own_style_leads_by_margin() -> None:
    # Lifts: 0.2 over -0.1; 0.1 under 0.2; 0.1 over -0.2; -0.2 under -0.1.
    assert measure_arrival(COSINES, STYLES).first_S.tolist() == [0.5, 0.5]


def test_a_style_with_a_higher_scale_wins_nothing_by_it() -> None:
    raised = COSINES + torch.tensor([[0.5], [0.0]])
    before, after = measure_arrival(COSINES, STYLES), measure_arrival(raised, STYLES)
    assert torch.allclose(before.margins_SS, after.margins_SS, atol=1e-6)
    assert torch.equal(before.first_S, after.first_S)


def test_styles_of_the_same_references_tie_and_neither_loses() -> None:
    cosines = torch.tensor([[0.5, 0.1, 0.2], [0.5, 0.1, 0.2], [0.0, 0.1, 0.9]])
    assert measure_arrival(cosines, [0, 1, 2]).first_S.tolist() == [1, 1, 1]


def test_every_group_of_outputs_counts_by_its_own_number() -> None:
    arrival = measure_arrival(torch.tensor([[0.9, 0.0, 0.0], [0.0, 0.3, 0.9]]), [0, 1, 1])
    assert torch.allclose(arrival.margins_SS, torch.tensor([[0.6, -0.3], [-0.4, 0.2]]), atol=1e-6)
    assert arrival.outputs_S.tolist() == [1, 2]


def test_a_style_without_outputs_is_refused() -> None:
    with pytest.raises(ValueError, match="every style needs an output"):
        measure_arrival(COSINES, [0, 0, 0, 0])
