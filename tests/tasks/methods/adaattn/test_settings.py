from __future__ import annotations

import pytest
from pydantic import ValidationError

from tasks.methods.adaattn.settings import DEFAULTS, AdaattnSettings, GateSettings

VGG = {
    "encoder": "adain-vgg-encoder",
    "attention": "models/latest_net_adaattn_3.pth",
    "transformer": "models/latest_net_transformer.pth",
    "decoder": "models/latest_net_decoder.pth",
}


def test_vgg_without_weights_says_which_to_get() -> None:
    with pytest.raises(ValidationError, match=r"get AdaAttN_model\.zip, .*Huage001/AdaAttN.*latest_net_adaattn_3\.pth"):
        AdaattnSettings(encoder="vgg")
    with pytest.raises(ValidationError, match="one weights reference"):
        AdaattnSettings(weights=VGG)


def test_what_is_left_out_is_as_the_encoder_has_it() -> None:
    assert AdaattnSettings().chosen() == DEFAULTS["small"]
    assert AdaattnSettings(encoder="vgg", weights=VGG).chosen() == DEFAULTS["vgg"]
    own = AdaattnSettings(encoder="vgg", weights=VGG, epsilon=1e-8, max_tokens=7).chosen()
    assert own == DEFAULTS["vgg"]._replace(epsilon=1e-8, max_tokens=7)
    assert AdaattnSettings(epsilon=0).chosen().epsilon == 0


def test_a_gate_is_none_or_two_numbers() -> None:
    assert AdaattnSettings.model_validate({"gate": "none"}) == AdaattnSettings()
    gated = AdaattnSettings.model_validate({"gate": {"alpha": 0.5}})
    assert gated.gate == GateSettings(alpha=0.5, beta=0.0)
    with pytest.raises(ValidationError):
        AdaattnSettings.model_validate({"gate": {"gamma": 1}})


def test_keys_hold_what_changes_pixels_and_no_resource() -> None:
    settings = AdaattnSettings(encoder="vgg", weights=VGG)
    assert settings.represent_settings() == {"style_size": 512}
    assert settings.encode_settings() == {"encoder": "vgg"}
    bounded = settings.model_copy(update={"attention_megabytes": 1, "cache_megabytes": 0})
    assert bounded.pixel_settings() == settings.pixel_settings()
    assert settings.model_copy(update={"gate": GateSettings()}).pixel_settings() != settings.pixel_settings()


def test_settings_survive_a_plan_and_only_paths_are_resolved() -> None:
    settings = AdaattnSettings(encoder="vgg", weights=VGG, gate=GateSettings())
    assert AdaattnSettings.model_validate_json(settings.model_dump_json()) == settings
    references = settings.resolve_paths(lambda path: f"/jobs/{path}").weight_references()
    assert references["encoder"] == "adain-vgg-encoder"
    assert references["decoder"] == "/jobs/models/latest_net_decoder.pth"
