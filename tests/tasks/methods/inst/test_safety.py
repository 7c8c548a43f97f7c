"""What a model's safety checker finds becomes a failed record, where a job asks for it; never a black picture."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig, CLIPImageProcessor

from tasks.methods.base import WITHHELD, Reference, Style
from tasks.methods.inst.settings import InversionSettings
from tasks.records import RequestError
from tests.tasks.methods.conftest import picture, render_one
from tests.tasks.methods.inst.conftest import Open

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}


def add_checker(model: Path, folder: Path, threshold: float) -> Path:
    """The model with a checker that finds everything whose cosine to a random concept is above the threshold."""
    shutil.copytree(model, folder)
    config = CLIPConfig(vision_config=TOWER | {"image_size": 32, "patch_size": 8}, text_config=TOWER, projection_dim=16)
    checker = StableDiffusionSafetyChecker(config)
    checker.concept_embeds_weights.data.fill_(threshold)
    checker.special_care_embeds_weights.data.fill_(2.0)
    checker.save_pretrained(folder / "safety_checker")
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessor(**size).save_pretrained(folder / "feature_extractor")
    return folder


@pytest.mark.parametrize(("threshold", "withheld"), [(-2.0, True), (2.0, False)])
def test_what_it_finds_is_withheld(
    open_words: Open, model: Path, tmp_path: Path, threshold: float, withheld: bool
) -> None:
    folder = add_checker(model, tmp_path / "checked", threshold)
    method = open_words(weights=f"local-dir:{folder}", safety="checker")
    (rep,) = method.represent([Style("ink", (Reference(text="ink"),))])
    painted = render_one(method, picture(40, 60, seed=4), rep)
    assert bool((painted == WITHHELD).all()) is withheld
    assert bool(torch.isfinite(painted).all()) is not withheld


def test_a_model_without_one_is_refused_before_anything_is_loaded(
    make_settings: Callable[..., InversionSettings],
) -> None:
    with pytest.raises(RequestError, match="no safety_checker: write safety: none"):
        make_settings(safety="checker").weight_digests()
