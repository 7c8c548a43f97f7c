"""The `scores` part of a job."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from tasks.scores.settings import ScoreSettings


def test_only_the_folder_of_a_model_is_a_path() -> None:
    def resolve(path: str) -> str:
        return f"/job/{path}"

    assert ScoreSettings(clip="local-dir:clip").resolve_paths(resolve).clip == "local-dir:/job/clip"
    for reference in ("none", "ViT-B-32/laion2b_s34b_b79k", "embedded:clip-small"):
        assert ScoreSettings(clip=reference).resolve_paths(resolve).clip == reference


def test_the_judge_is_resolved_as_the_scorer_is() -> None:
    settings = ScoreSettings(clip="embedded:clip-small", judge="local-dir:judge").resolve_paths(lambda p: f"/job/{p}")
    assert settings == ScoreSettings(clip="embedded:clip-small", judge="local-dir:/job/judge")


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError):
        ScoreSettings.model_validate({"clip": "none", "lpips": True})


def test_settings_load_no_torch() -> None:
    code = "import sys, tasks.scores.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
