"""Wrong jobs: one sentence that says what to do, exit code 2, and no Ray started for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.pipelines.conftest import Atelier, Outcome, write_job
from tests.tasks.actors.making import write_photographs, write_style_pictures

pytestmark = pytest.mark.prefect

# Many commands in one process, so that Prefect's server starts once; Ray's start is what must not happen.
MANY = """
import contextlib, io, json, sys
import ray
from pipelines.cli import main

def refuse(*_, **__):
    raise AssertionError("Ray was started")

ray.init = refuse
results = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["atelier", *words]
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        code = repr(error)
    results.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(results))
"""


def typo(folder: Path) -> Path:
    return write_job(folder, stlyes="art")


def missing_corpus(folder: Path) -> Path:
    return write_job(folder, corpus="nowhere")


def empty_corpus(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return write_job(folder, corpus="empty")


def unwritable_output(folder: Path) -> Path:
    (folder / "file").write_text("")
    return write_job(folder, output="file/out")


def other_images(folder: Path) -> Path:
    freeze(folder)
    return write_job(folder, images={"size": 128, "codec": "png"})


def other_seed(folder: Path) -> Path:
    freeze(folder)
    return write_job(folder, seed=1)


def text_without_a_model(folder: Path) -> Path:
    method = {"name": "adain", "texts": {"clip": "local-dir:no-such-folder"}}
    return write_job(folder, method=method, styles=[{"name": "ink", "references": [{"text": "black ink"}]}])


def missing_weights(folder: Path) -> Path:
    return write_job(folder, method={"name": "adain", "weights": "nowhere.safetensors"})


def bad_style_picture(folder: Path) -> Path:
    (folder / "art" / "bars.png").write_bytes(b"words")
    return write_job(folder)


def missing_style_picture(folder: Path) -> Path:
    return write_job(folder, styles=[{"name": "wave", "references": [{"image": "art/wave.png"}]}])


def doubled_names(folder: Path) -> Path:
    styles = [{"name": "wave", "references": [{"image": f"art/{name}.png"}]} for name in ("bars", "blots")]
    return write_job(folder, styles=styles)


def unknown_judge(folder: Path) -> Path:
    return write_job(folder, scores={"clip": "none", "judge": "embedded:no-such-judge"})


def unknown_clip(folder: Path) -> Path:
    return write_job(folder, scores={"clip": "embedded:no-such-model"})


def prompts_for_pictures(folder: Path) -> Path:
    (folder / "words.txt").write_text("a boat\n")
    return write_job(folder, corpus="words.txt")


def prompts_without_a_column(folder: Path) -> Path:
    (folder / "words.csv").write_text("a boat\n")
    return write_job(folder, corpus={"uri": "words.csv", "format": "prompts"})


def size_of_pictures(folder: Path) -> Path:
    return write_job(folder, corpus={"uri": "photos", "size": 64})


def not_yaml(folder: Path) -> Path:
    (folder / "job.yaml").write_text("corpus: [photos")
    return folder / "job.yaml"


def no_job(folder: Path) -> Path:
    return folder / "job.yaml"


WRONG: dict[Callable[[Path], Path], str] = {
    typo: "stlyes",
    missing_corpus: "nowhere",
    empty_corpus: "has no pictures",
    unwritable_output: "Nothing can be written",
    other_images: "`images`",
    other_seed: "`seed`",
    text_without_a_model: "no-such-folder",
    missing_weights: "nowhere.safetensors",
    bad_style_picture: "bars.png",
    missing_style_picture: "wave.png",
    doubled_names: "'wave' comes twice",
    unknown_clip: "no-such-model",
    unknown_judge: "no-such-judge",
    prompts_for_pictures: "the method 'adain' needs a picture to style",
    prompts_without_a_column: "no column 'prompt'",
    size_of_pictures: "only prompts have",
    not_yaml: "not a YAML file",
    no_job: "cannot be read",
}


def freeze(folder: Path) -> None:
    """A dataset as `write_job` would make it, before its first plan."""
    (folder / "out").mkdir()
    images = {"size": 64, "fit": "keep", "codec": "png", "quality": 92}
    (folder / "out" / "dataset.json").write_text(json.dumps({"schema_version": 1, "images": images, "seed": 0}))


@pytest.fixture(scope="module")
def outcomes(atelier: Atelier, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    words = []
    for make in WRONG:
        folder = tmp_path_factory.mktemp(make.__name__)
        write_photographs(folder / "photos", 2)
        write_style_pictures(folder / "art")
        words.append(["run", str(make(folder))])
    everything = atelier(json.dumps(words), code=MANY)
    assert everything.code == 0, everything.stderr
    results = [Outcome(*result) for result in everything.data]
    return {make.__name__: result for make, result in zip(WRONG, results, strict=True)}


@pytest.mark.parametrize("make", WRONG, ids=lambda make: make.__name__)
def test_a_wrong_job_is_refused_in_one_sentence(make: Callable[[Path], Path], outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[make.__name__]
    assert (outcome.code, outcome.stdout) == (2, ""), outcome
    (line,) = outcome.stderr.strip().splitlines()
    assert line.startswith("atelier: ")
    assert WRONG[make] in line
    assert line.endswith(".")


def test_what_the_machine_cannot_hold_is_refused_before_an_actor_starts(atelier: Atelier, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 2)
    write_style_pictures(tmp_path / "art")
    job = write_job(tmp_path, resources={"actors": 4000, "gpus_per_actor": 0})
    outcome = atelier("run", job)
    assert outcome.code == 2, outcome.stderr
    assert "room for" in outcome.stderr
    assert not (tmp_path / "out" / "data").exists()
    forecast = atelier("plan", job)
    assert (forecast.code, forecast.stdout) == (2, "")


def test_a_plan_writes_nothing(atelier: Atelier, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 5)
    write_style_pictures(tmp_path / "art")
    job = write_job(tmp_path)
    for words in (("plan", job, "--json"), ("run", job, "--dry-run", "--json")):
        outcome = atelier(*words)
        assert (outcome.code, outcome.data["records"], outcome.data["contents"]) == (0, 10, 5), outcome.stderr
    assert not (tmp_path / "out").exists()


def test_verbs_that_need_no_dataset_print_data(atelier: Atelier) -> None:
    assert "corpus" in atelier("schema").data["properties"]
    assert "embedded:adain-small" in atelier("models", "--json").data["embedded"]


@pytest.mark.parametrize("verb", ["verify", "report", "abandon", "retry", "status"])
def test_verbs_that_need_a_dataset_say_so(atelier: Atelier, tmp_path: Path, verb: str) -> None:
    outcome = atelier(verb, tmp_path / "nowhere")
    assert outcome.code == 2
    assert "nowhere" in outcome.stderr


def test_an_unset_variable_is_named(atelier: Atelier, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({"corpus": "${NO_SUCH_NAME}", "output": "o", "styles": "a"}))
    outcome = atelier("run", tmp_path / "job.yaml")
    assert outcome.code == 2
    assert "NO_SUCH_NAME" in outcome.stderr
