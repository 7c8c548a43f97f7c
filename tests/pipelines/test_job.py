"""The job file: what it takes, what it refuses and how it says so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from pipelines.cli import app
from pipelines.job import Job, load_job, make_job
from tasks.labelled.settings import TableSettings
from tasks.records import RequestError
from tasks.style_settings import GridCell, StyleSettings

JOBS = Path(__file__).parents[2] / "infra" / "jobs"
EXAMPLES = sorted(path for path in JOBS.glob("*.yaml") if not path.name.startswith("train-"))
SHORTEST = {"corpus": "photos", "output": "out", "styles": "art"}


def write(folder: Path, content: dict[str, object]) -> Path:
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def refusal(content: dict[str, object], folder: Path) -> str:
    with pytest.raises(RequestError) as caught:
        load_job(write(folder, content))
    return str(caught.value)


def test_paths_are_relative_to_the_job_file(tmp_path: Path) -> None:
    job = load_job(write(tmp_path, {**SHORTEST, "store": "../store"}))
    assert job.corpus.uri == str(tmp_path / "photos")
    assert (job.output, job.styles) == (str(tmp_path / "out"), str(tmp_path / "art"))
    assert job.store_uri == str(tmp_path.parent / "store")


def test_paths_of_references_and_weights_are_resolved_too(tmp_path: Path) -> None:
    style = {
        "name": "wave",
        "references": [{"image": "art/wave.jpg"}],
        "method": {"name": "adain", "weights": "own.safetensors"},
    }
    job = load_job(write(tmp_path, {**SHORTEST, "styles": [style]}))
    assert isinstance(job.styles, tuple)
    assert isinstance(job.styles[0], StyleSettings)
    assert job.styles[0].references[0].image == str(tmp_path / "art/wave.jpg")
    assert job.styles[0].method is not None
    assert job.styles[0].method.weights == str(tmp_path / "own.safetensors")
    assert job.method.weight_references() == {"weights": "embedded:adain-small"}


def test_styles_may_come_from_a_table_alone_or_in_a_list(tmp_path: Path) -> None:
    table = {"table": "wikiart/data", "by": "artist", "classes": "claude-monet", "where": {"genre": ["landscape"]}}
    job = load_job(write(tmp_path, {**SHORTEST, "styles": table}))
    assert isinstance(job.styles, TableSettings)
    assert (job.styles.table, job.styles.classes) == (str(tmp_path / "wikiart/data"), ("claude-monet",))
    named = {"name": "wave", "references": [{"image": "wikiart/data/a.parquet#row=12"}]}
    mixed = load_job(write(tmp_path, {**SHORTEST, "styles": [named, {**table, "table": "s3://art/wikiart"}]}))
    assert isinstance(mixed.styles, tuple)
    one, other = mixed.styles
    assert isinstance(one, StyleSettings)
    assert one.references[0].image == str(tmp_path / "wikiart/data/a.parquet#row=12")
    assert isinstance(other, TableSettings)
    assert other.table == "s3://art/wikiart"
    for made in (job, mixed):
        assert Job.model_validate_json(made.model_dump_json()) == made


def test_uris_stay_as_they_are_and_variables_are_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", "pictures")
    job = load_job(write(tmp_path, {**SHORTEST, "corpus": "s3://${BUCKET}/photos"}))
    assert job.corpus.uri == "s3://pictures/photos"
    monkeypatch.delenv("BUCKET")
    assert "${BUCKET}" in refusal({**SHORTEST, "corpus": "s3://${BUCKET}/photos"}, tmp_path)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"corpsu": "x"}, "corpsu"),
        ({"images": {"sise": 512}}, "images.sise"),
        ({"images": {"size": "keep", "fit": "crop"}}, "images"),
        ({"images": {"quality": 0}}, "images.quality"),
        ({"corpus": {"uri": "x", "on_chaneg": "keep"}}, "corpus.on_chaneg"),
        ({"method": {"name": "adain", "strenght": 1}}, "method.strenght"),
        ({"method": {"name": "adain", "strength": 2}}, "method.strength"),
        ({"method": {"name": "adian"}}, "method.name"),
        ({"styles": []}, "styles"),
        ({"styles": [{"name": "a", "references": []}]}, "references"),
        ({"styles": [{"name": "a", "references": [{"image": "x", "text": "y"}]}]}, "references"),
        ({"styles": [{"name": "a", "references": [{"image": "x", "weight": 0}]}]}, "weight"),
        ({"styles": [{"name": "a", "references": [{"image": "x"}]}] * 2}, "'a'"),
        ({"styles": {"table": "x", "by": "artist", "clases": ["y"]}}, "styles.clases"),
        ({"styles": {"tabel": "x", "by": "artist"}}, "styles.table"),
        ({"styles": {"name": "a", "references": [{"image": "x"}]}}, "at styles: write a list, each style with a dash"),
        ({"styles": {"wave": "art/wave.jpg"}}, "at styles: write a list, each style with a dash"),
        ({"styles": {"table": "x", "by": "artist", "classes": [False]}}, "styles.classes.0: write the name in quotes"),
        ({"styles": [{"table": "x", "by": "artist", "name": "y"}]}, "{class}"),
        ({"styles": [{"table": "x"}]}, "styles.0.by"),
        ({"resources": {"gpus_per_actor": 1.5}}, "gpus_per_actor"),
        ({"resources": {"actors": 0}}, "actors"),
        ({"max_failed": 2}, "max_failed"),
        ({"seed": -1}, "seed"),
        ({"shard_images": 0}, "shard_images"),
    ],
)
def test_a_wrong_job_is_refused_in_one_sentence_that_names_the_field(
    tmp_path: Path, change: dict[str, object], field: str
) -> None:
    sentence = refusal({**SHORTEST, **change}, tmp_path)
    assert field in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        ({"row": 3}, "mask: row 3, column 0 is outside a grid of 1 x 1."),
        ({"rows": 0}, "mask.rows: Input should be greater than or equal to 1."),
        ({"colums": 2}, "mask.colums: there is no such key; `atelier schema` prints those there are."),
        ({"rows": "x", "row": "y"}, "mask.rows: Input should be a valid integer, .* [(]1 more[)][.]"),
        (3, "mask: Input should be a valid string."),
    ],
    ids=str,
)
def test_a_wrong_mask_of_a_reference_is_one_mistake(tmp_path: Path, mask: object, sentence: str) -> None:
    style = {"name": "a", "references": [{"image": "x", "mask": mask}, {"image": "y"}]}
    assert re.search(
        rf"wrong at styles\.0\.references\.0\.{sentence}$", refusal({**SHORTEST, "styles": [style]}, tmp_path)
    )


def test_a_mask_of_a_reference_is_a_picture_or_a_cell(tmp_path: Path) -> None:
    masks = [{"columns": 2}, "shape.png", None]
    style = {"name": "a", "references": [{"image": "x", "mask": mask} for mask in masks]}
    job = load_job(write(tmp_path, {**SHORTEST, "styles": [style]}))
    (made,) = job.styles
    assert [reference.mask for reference in made.references] == [GridCell(columns=2), f"{tmp_path}/shape.png", None]
    assert Job.model_validate_json(job.model_dump_json()) == job


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "!!python/object/apply:os.getcwd []", "\x00"])
def test_what_is_no_job_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    with pytest.raises(RequestError):
        load_job(path)


def test_a_job_is_frozen() -> None:
    job = make_job(dict(SHORTEST), Path("/x"))
    with pytest.raises(ValueError, match="frozen"):
        job.seed = 1  # type: ignore[misc]


def test_a_job_survives_json_as_prefect_stores_it() -> None:
    job = make_job(dict(SHORTEST), Path("/x"))
    assert Job.model_validate_json(job.model_dump_json()) == job


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "pictures")
    load_job(path)


def test_the_example_recipe_is_valid() -> None:
    from pipelines.train import read_training

    training = read_training([], [], [], JOBS / "train-adain-small.yaml", None)
    assert (training.recipe.crop, training.loop.precision) == (160, "bfloat16")


def test_the_schema_offers_every_key_with_words(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app(["schema"])
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["properties"]) == set(Job.model_fields)
    assert all("description" in value for value in schema["properties"].values())
    assert schema["additionalProperties"] is False
    kinds = schema["properties"]["corpus"]["anyOf"]
    assert {"type": "string"} in kinds


def test_a_number_out_of_bounds_is_named_as_a_job_writes_it(tmp_path: Path) -> None:
    for key, value in (("actors", 0), ("gpus_per_actor", -1), ("batch_megapixels", 0), ("cpus_per_actor", 10**400)):
        said = refusal({**SHORTEST, "resources": {key: value}}, tmp_path)
        assert said.startswith(f"The job is wrong at resources.{key}: Input should be "), said


def test_control_characters_and_endless_texts_are_refused(tmp_path: Path) -> None:
    assert "control character in 'a\\x00b'" in refusal({**SHORTEST, "corpus": "a\0b"}, tmp_path)
    assert "control character" in refusal({**SHORTEST, "\x1b[2J": 1}, tmp_path)
    assert "letters" in refusal({**SHORTEST, "corpus": "x" * 30_000}, tmp_path)
    assert "no text" in refusal({**SHORTEST, 5: "x"}, tmp_path)  # type: ignore[dict-item]
    lines = {"name": "a", "references": [{"text": "a boat\nat night"}]}
    assert load_job(write(tmp_path, {**SHORTEST, "styles": [lines]})).seed == 0
