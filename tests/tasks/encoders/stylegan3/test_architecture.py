"""Settings are read from the official constructor's arguments, and written as them."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.encoders.stylegan3.architecture import GeneratorConfig
from tasks.records import RequestError
from tests.tasks.encoders.stylegan3.small_generator import SMALL_R


@pytest.mark.parametrize("config", [GeneratorConfig(), SMALL_R])
def test_settings_come_back_from_official_arguments(config: GeneratorConfig) -> None:
    assert GeneratorConfig.read(config.init_kwargs()) == config


def test_official_defaults_are_ours() -> None:
    assert GeneratorConfig.read({"mapping_kwargs": {}, "c_dim": 0, "img_channels": 3}) == GeneratorConfig()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"c_dim": 10}, "c_dim"),
        ({"img_channels": 1}, "img_channels"),
        ({"num_heads": 4}, "num_heads"),
        ({"img_resolution": "large"}, "img_resolution"),
        ({"img_resolution": 1000}, "power of two"),
        ({"num_layers": 2}, "too few layers"),
        ({"mapping_kwargs": {"activation": "relu"}}, "activation"),
        ({"mapping_kwargs": 2}, "mapping_kwargs"),
        ({"first_cutoff": True}, "first_cutoff"),
    ],
)
def test_other_generators_are_refused_in_one_sentence(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        GeneratorConfig.read(arguments)


def test_radial_filters_are_of_the_layers_that_are_not_critical() -> None:
    assert [spec.radial for spec in SMALL_R.layers_table()] == [True] * 4 + [False] * 3
