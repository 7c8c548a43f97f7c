from __future__ import annotations

import subprocess
import sys
from typing import Any, ClassVar

import pytest
from pydantic import TypeAdapter, ValidationError

from tasks.methods.adain.settings import AdainSettings
from tasks.methods.base_settings import Settings
from tasks.methods.settings import MethodSettings

VGG = {"encoder": "models/vgg_normalised.pth", "decoder": "adain-vgg-decoder"}


def test_settings_load_no_torch() -> None:
    code = "import sys, tasks.methods.settings; assert not {'torch', 'ray', 'prefect'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_method_is_chosen_by_its_name() -> None:
    read = TypeAdapter(MethodSettings).validate_python
    assert read({"name": "adain", "strength": 0.5}) == AdainSettings(strength=0.5)
    with pytest.raises(ValidationError):
        read({"name": "adaim"})
    with pytest.raises(ValidationError, match=r"strenght\n.*Extra inputs"):
        read({"name": "adain", "strenght": 0.5})


def test_keys_hold_what_each_verb_reads_and_no_weights() -> None:
    settings = AdainSettings(strength=0.5, weights="somewhere.safetensors")
    assert settings.represent_settings() == {"encoder": "small", "preserve_color": False, "style_size": 512}
    assert settings.encode_settings() == {"encoder": "small"}
    assert settings.pixel_settings() == settings.represent_settings() | {"strength": 0.5}


def test_a_field_that_no_verb_reads_is_a_mistake() -> None:
    nothing: frozenset[str] = frozenset()
    verbs: dict[str, Any] = {"represent_reads": nothing, "encode_reads": nothing, "render_reads": nothing}
    annotations = {"blur": float} | dict.fromkeys(verbs, ClassVar[frozenset[str]])
    with pytest.raises(TypeError, match="blur"):
        type("Careless", (Settings,), {"__module__": __name__, "__annotations__": annotations, "blur": 1.0, **verbs})


def test_vgg_without_weights_says_which_to_get() -> None:
    with pytest.raises(ValidationError, match=r"get vgg_normalised\.pth and decoder\.pth from release v0\.0\.0"):
        AdainSettings(encoder="vgg")
    with pytest.raises(ValidationError, match="one weights reference"):
        AdainSettings(encoder="small", weights=VGG)


def test_only_paths_among_weights_are_resolved() -> None:
    settings = AdainSettings(encoder="vgg", weights=VGG).resolve_paths(lambda path: f"/jobs/{path}")
    assert settings.weight_references() == {
        "encoder": "/jobs/models/vgg_normalised.pth",
        "decoder": "adain-vgg-decoder",
    }
    small = AdainSettings().resolve_paths(lambda path: f"/jobs/{path}")
    assert small.weight_references() == {"weights": "embedded:adain-small"}
    own = AdainSettings(weights="mine.safetensors").resolve_paths(lambda path: f"/jobs/{path}")
    assert own.weight_references() == {"weights": "/jobs/mine.safetensors"}


def test_settings_survive_a_plan() -> None:
    settings = AdainSettings(encoder="vgg", weights=VGG, strength=0.5)
    assert AdainSettings.model_validate_json(settings.model_dump_json()) == settings
    assert hash(settings) == hash(settings.model_copy())
