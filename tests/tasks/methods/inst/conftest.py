"""The small diffusion model, opened once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.methods.inst.settings import InversionSettings
from tasks.methods.inst.words import WordMethod
from tasks.methods.settings import open_method
from tests.tasks.encoders.diffusion.small_diffusion import save_small_diffusion
from tests.tasks.encoders.small_clip import save_small_clip

Open = Callable[..., WordMethod]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_diffusion(tmp_path_factory.mktemp("diffusion") / "model")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"local-dir:{save_small_clip(tmp_path_factory.mktemp('clip') / 'small')}"


@pytest.fixture(scope="session")
def make_settings(model: Path, clip: str) -> Callable[..., InversionSettings]:
    """Settings of the small model, in few steps."""

    def make(**values: Any) -> InversionSettings:
        few = {"updates": 2, "size": 64, "steps": 4, "guidance": 3.0, "clip": clip}
        return InversionSettings(**{"weights": f"local-dir:{model}"} | few | values)

    return make


@pytest.fixture(scope="session")
def open_words(make_settings: Callable[..., InversionSettings]) -> Open:
    def open_with(**values: Any) -> WordMethod:
        method = open_method(make_settings(**values))
        assert isinstance(method, WordMethod)
        return method

    return open_with


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
