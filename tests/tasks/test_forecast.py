"""What a plan will take, from each method's own prior of its speed."""

from __future__ import annotations

import pytest

from tasks.forecast import shard_size
from tasks.images.settings import ImageSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.methods.clipstyler.settings import FastSettings, OptimizeSettings
from tasks.methods.settings import MethodSettings
from tasks.regions.settings import RegionSettings
from tasks.styles import PlannedReference, PlannedStyle


def seconds(
    method: MethodSettings,
    references: int,
    regions: RegionSettings | None = None,
    size: tuple[int, int] | None = None,
) -> float:
    """What a picture takes."""
    style = PlannedStyle(
        name="one",
        references=tuple(PlannedReference(text=f"{number}", weight=1 / references) for number in range(references)),
        method=method,
        version=method.version,
        weights_digest="weights",
        regions=regions,
        digest="one",
        representation="one",
    )
    return shard_size(ImageSettings(), [style], "auto", "cpu", 1, size).pair_seconds


@pytest.mark.parametrize(
    ("method", "passes"), [(AdainSettings(), 1), (FastSettings(mode="fast"), 4), (OptimizeSettings(mode="optimize"), 4)]
)
def test_a_composite_takes_a_pass_for_each_reference_where_the_method_needs_one(
    method: MethodSettings, passes: int
) -> None:
    once = seconds(method, 1)
    assert seconds(method, 4) == once
    assert seconds(method, 4, RegionSettings(grid=(2, 2))) == pytest.approx(passes * once)


def test_a_prompt_takes_as_long_as_the_size_of_its_picture() -> None:
    expected = AdainSettings().seconds_per_megapixel("cpu") * 1024 * 768 / 1e6
    assert seconds(AdainSettings(), 1, size=(1024, 768)) == pytest.approx(expected)
