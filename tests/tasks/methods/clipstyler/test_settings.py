"""What `clipstyler` takes in a job, and what its keys are made of."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from pipelines.job import make_job
from tasks.methods.clipstyler.settings import FOR_EMBEDDED, FOR_SMALL, SMALL_WEIGHTS, FastSettings, OptimizeSettings
from tasks.methods.settings import MethodSettings
from tasks.records import RequestError
from tasks.samples.photographs import write_photographs
from tasks.style_settings import StyleSettings
from tasks.styles import PlannedStyle, plan_style

JOB = {"corpus": "photos", "output": "out", "styles": [{"name": "fire", "references": [{"text": "fire"}]}]}


def test_defaults_of_optimize_are_the_authors() -> None:
    settings = OptimizeSettings(mode="optimize", clip="ViT-B-32/openai")
    weights = [getattr(settings, f"{name}_weight") for name in ("direction", "patch", "content", "variation")]
    assert weights == [500, 9000, 150, 2e-3]
    assert (settings.crops, settings.crop_size, settings.threshold, settings.steps) == (64, 128, 0.7, 201)
    assert (settings.learning_rate, settings.source, settings.start) == (5e-4, "a Photo", "random")
    assert settings.structure_weight == 0  # a term of ours


def test_defaults_of_fast_over_vgg_are_the_authors() -> None:
    weights = {"encoder": "vgg.pth", "decoder": "decoder.pth"}
    settings = FastSettings(mode="fast", encoder="vgg", weights=weights)
    weights = [getattr(settings, f"{name}_weight") for name in ("direction", "patch", "content", "variation")]
    assert weights == [1, 10, 1, 1e-4]
    assert (settings.views, settings.crop_size, settings.batch, settings.steps) == (16, 224, 4, 200)
    assert (settings.learning_rate, settings.threshold) == (1e-4, 0.7)
    assert (settings.structure_weight, settings.range_weight) == (0, 0)  # terms of ours


def test_the_compact_network_has_defaults_of_its_own() -> None:
    assert FastSettings(mode="fast").steps == FOR_SMALL["steps"]
    assert FastSettings(mode="fast", steps=7).steps == 7


def test_the_embedded_clip_has_defaults_of_its_own() -> None:
    for settings in (OptimizeSettings(mode="optimize"), OptimizeSettings(mode="optimize", clip="embedded:other")):
        assert {name: getattr(settings, name) for name in FOR_EMBEDDED} == FOR_EMBEDDED
    assert OptimizeSettings(mode="optimize", steps=7).steps == 7


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ({"name": "clipstyler"}, r"method\.mode: write optimize .* or fast"),
        ({"name": "clipstyler", "mode": "slow"}, r"method\.mode: write optimize .* or fast"),
        ({"name": "clipstyler", "mode": "fast", "plateau": 0.1}, r"at method\.plateau: there is no such key"),
        ({"name": "clipstyler", "mode": "optimize", "encoder": "vgg"}, "vgg19: vgg19-torchvision"),
        ({"name": "clipstyler", "mode": "fast", "encoder": "vgg"}, "decoder: adain-vgg-decoder"),
        (
            {"name": "clipstyler", "mode": "fast", "decoders": [{"text": "ink", "weights": w} for w in "ab"]},
            "`decoders` has two for the text 'ink'",
        ),
        ({"name": "clipstyler", "mode": "optimize", "weights": {"vgg19": "x.pth"}}, "belong to encoder: vgg"),
    ],
)
def test_a_wrong_method_is_one_sentence(method: dict[str, object], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=sentence):
        make_job(JOB | {"method": method}, tmp_path)


def test_paths_are_resolved_and_names_are_not() -> None:
    settings = FastSettings(
        mode="fast",
        encoder="vgg",
        weights={"encoder": "vgg.pth", "decoder": "adain-vgg-decoder"},
        decoders=[{"text": "a sketch", "weights": "sketch.pth.tar"}],
        photographs="photos",
        clip="local-dir:clip",
    ).resolve_paths(lambda path: f"/jobs/{path}")
    assert settings.weight_references() == {"encoder": "/jobs/vgg.pth", "decoder": "adain-vgg-decoder"}
    assert settings.text_weights() == {"a sketch": "/jobs/sketch.pth.tar"}
    assert (settings.photographs, settings.clip) == ("/jobs/photos", "local-dir:/jobs/clip")
    assert FastSettings(mode="fast").resolve_paths(str.upper).weight_references() == {"weights": SMALL_WEIGHTS}


def test_settings_survive_a_plan_and_are_kept_by_value() -> None:
    decoders = [{"text": "a sketch", "weights": "sketch.pth.tar"}]
    for settings in (OptimizeSettings(mode="optimize", plateau=0.1), FastSettings(mode="fast", decoders=decoders)):
        assert TypeAdapter(MethodSettings).validate_json(settings.model_dump_json()) == settings
        assert hash(settings) == hash(settings.model_copy())


def test_what_a_style_is_made_with_is_digested() -> None:
    """Another CLIP, other photographs: other pictures, so another digest."""
    plain = FastSettings(mode="fast").weight_digests()
    assert {"weights", "clip", "neutral"} == plain.keys()
    judged = FastSettings(mode="fast", clip="embedded:clip-judge-small").weight_digests()
    assert {name for name in plain if plain[name] != judged[name]} == {"clip"}
    assert "pairs_at_once" not in OptimizeSettings(mode="optimize").pixel_settings()


def test_a_decoder_is_part_of_the_styles_that_have_its_text(tmp_path: Path) -> None:
    """Another for another text changes nothing; another for the same text does."""
    for name in ("ink.pth", "chalk.pth"):
        (tmp_path / name).write_bytes(name.encode())

    def plan(text: str, **decoders: str) -> PlannedStyle:
        given = [{"text": text, "weights": str(tmp_path / file)} for text, file in decoders.items()]
        style = StyleSettings(name="drawn", references=[{"text": text}, {"text": "fire"}])
        return plan_style(style, FastSettings(mode="fast", decoders=given))

    plain, drawn = plan("ink"), plan("ink", ink="ink.pth")
    assert plan("ink", ink="ink.pth", chalk="chalk.pth") == drawn
    assert plan("ink", chalk="chalk.pth") == plain
    other = plan("ink", ink="chalk.pth")
    assert len({style.digest for style in (plain, drawn, other)}) == 3
    assert len({style.representation for style in (plain, drawn, other)}) == 3
    assert len({style.wave for style in (plain, drawn, other)}) == 1  # contents are encoded once for all


def test_photographs_are_digested_by_their_bytes(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 2)
    digests = [FastSettings(mode="fast", photographs=str(tmp_path / "photos")).weight_digests()["photographs"]]
    (tmp_path / "photos" / "astronaut.jpg").write_bytes(b"another")
    digests.append(FastSettings(mode="fast", photographs=str(tmp_path / "photos")).weight_digests()["photographs"])
    assert digests[0] != digests[1]
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="has no pictures"):
        FastSettings(mode="fast", photographs=str(tmp_path / "empty")).weight_digests()


def test_a_longer_optimisation_takes_longer() -> None:
    few, many = (OptimizeSettings(mode="optimize", steps=steps).seconds_per_megapixel() for steps in (20, 200))
    assert many == pytest.approx(10 * few)
    assert FastSettings(mode="fast").seconds_per_megapixel() < few
    with pytest.raises(ValidationError):
        OptimizeSettings(mode="optimize", steps=0)
