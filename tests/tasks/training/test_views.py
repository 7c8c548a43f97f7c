"""How training shows a render: windows, tilted patches on black, mixtures with the photograph, wear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from tasks.training.renders import Pixels
from tasks.training.views import ViewSettings, crop_view, fade, show, tilt, wear

VIEW = np.random.default_rng(0).integers(40, 216, (8, 8, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
OTHER = np.full_like(VIEW, 20)
WHITE = np.full((64, 64, 3), 255, np.uint8)
PLAIN = ViewSettings(smallest_window=1.0, smallest_patch=1.0)


def shown(settings: ViewSettings, seed: int, photograph: Pixels | None = OTHER) -> Pixels:
    return show(VIEW, photograph, settings, 64, np.random.default_rng(seed))


def test_a_crop_is_a_window_of_the_view() -> None:
    crops = [crop_view(VIEW, 0.5, np.random.default_rng(seed), 128) for seed in (0, 0, 1)]
    assert {crop.shape for crop in crops} == {(128, 128, 3)}
    assert np.array_equal(crops[0], crops[1])
    assert not np.array_equal(crops[0], crops[2])
    whole = {crop_view(VIEW, 1.0, np.random.default_rng(seed), 64).tobytes() for seed in range(8)}
    assert whole == {VIEW.tobytes(), VIEW[:, ::-1].tobytes()}


def test_without_shares_a_view_is_shown_as_it_is() -> None:
    pictures = {shown(PLAIN, seed).tobytes() for seed in range(8)}
    assert pictures == {VIEW.tobytes(), VIEW[:, ::-1].tobytes()}


@pytest.mark.parametrize("share", ["tilted", "faded", "worn"])
def test_each_share_changes_that_share_of_the_views(share: str) -> None:
    settings = replace(PLAIN, **{share: 0.5})
    whole = {VIEW.tobytes(), VIEW[:, ::-1].tobytes()}
    changed = [shown(settings, seed).tobytes() not in whole for seed in range(200)]
    assert 60 < sum(changed) < 140
    assert shown(settings, 5).tobytes() == shown(settings, 5).tobytes()
    assert {(view.dtype, view.shape) for view in (shown(settings, seed) for seed in range(20))} == {
        (np.dtype(np.uint8), VIEW.shape)
    }


def test_what_has_no_photograph_is_not_faded() -> None:
    settings = replace(PLAIN, faded=1.0)
    assert shown(settings, 0, None).tobytes() in {VIEW.tobytes(), VIEW[:, ::-1].tobytes()}


def test_a_faded_view_lies_between_itself_and_its_photograph() -> None:
    mixed = fade(VIEW, OTHER, 0.75).astype(float)
    assert np.abs(mixed - (0.75 * VIEW + 0.25 * OTHER)).max() <= 0.5
    assert np.array_equal(fade(VIEW, OTHER, 1.0), VIEW)
    least = replace(PLAIN, faded=1.0, least_render=0.6)
    for seed in range(20):
        share = (shown(least, seed).astype(float) - OTHER).mean() / (VIEW.astype(float) - OTHER).mean()
        assert 0.59 < share <= 1.0


def test_a_tilted_view_stands_on_black_and_keeps_its_middle() -> None:
    for seed in range(20):
        seen = tilt(WHITE, np.random.default_rng(seed))
        assert (seen[24:40, 24:40] == 255).all()
        outside = (seen == 0).all(-1).mean()
        assert 0 < outside < 0.7
        border = np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]])
        assert (border == 0).mean() > 0.5


def test_a_tilted_view_has_its_corners_where_they_were() -> None:
    """Each quarter in a colour of its own: none changes places with another, and all are there."""
    view = np.zeros((64, 64, 3), np.uint8)
    colours = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)])
    quarters = [(slice(0, 32), slice(0, 32)), (slice(0, 32), slice(32, 64)), (slice(32, 64), slice(0, 32)),
                (slice(32, 64), slice(32, 64))]  # fmt: skip
    for colour, quarter in zip(colours, quarters, strict=True):
        view[quarter] = colour
    for seed in range(20):
        seen = tilt(view, np.random.default_rng(seed))
        centres = [np.argwhere((seen == colour).all(-1)).mean(0) for colour in colours]
        assert centres[0][0] < centres[2][0]
        assert centres[1][0] < centres[3][0]
        assert centres[0][1] < centres[1][1]
        assert centres[2][1] < centres[3][1]


def test_a_worn_view_is_still_much_like_itself() -> None:
    for seed in range(20):
        worn = wear(VIEW, np.random.default_rng(seed)).astype(float)
        assert np.corrcoef(worn.ravel(), VIEW.ravel())[0, 1] > 0.9
        assert 0 < np.abs(worn - VIEW).mean() < 60


@pytest.mark.parametrize("wrong", [{"tiltd": 0.1}, {"tilted": 1.5}, {"smallest_window": 0}])
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ViewSettings).validate_python(wrong)
