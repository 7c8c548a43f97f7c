"""The verbs over a finished dataset, on disk and on an S3 server: what they print, write, refuse and end with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pipelines.cli import app
from tasks.records import RequestError
from tasks.storage import Folder
from tests.pipelines.conftest import Atelier, Outcome, wait_for

# What a real run left: 8 records and 2 failures of 5 photographs in 2 styles, in 3 shards.
VERSION1 = Path(__file__).parent.parent / "tasks/dataset/version1"
WITHOUT_RAY_AND_PREFECT = (
    "import sys; sys.modules['ray'] = sys.modules['prefect'] = None; from pipelines.cli import main; main()"
)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """That dataset, as `out` beside its corpus and its job."""
    shutil.copytree(VERSION1, tmp_path, dirs_exist_ok=True)
    (tmp_path / "out").mkdir()
    for name in ("data", "failures", "plans", "representations", "dataset.json"):
        shutil.move(tmp_path / name, tmp_path / "out" / name)
    return tmp_path / "out"


def invoke(*words: object) -> Outcome:
    """A command in this process, as `main` runs it."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, RequestError):
        return Outcome(2, result.stdout, f"{result.stderr}atelier: {result.exception}\n")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def put(folder: Path, uri: str) -> Folder:
    """Copy a folder to a store."""
    target = Folder(uri)
    for path in folder.rglob("*"):
        if path.is_file():
            target.publish(path.relative_to(folder).as_posix(), path.read_bytes())
    return target


def contents(folder: Folder) -> dict[str, bytes]:
    return {name: folder.read(name) for name in folder.list("")}


@pytest.mark.parametrize("place", ["disk", "s3"])
def test_every_verb_over_a_dataset(recorded: Path, place: str, request: pytest.FixtureRequest) -> None:
    base = str(recorded.parent) if place == "disk" else request.getfixturevalue("s3")
    root = f"{base}/out"
    folder = Folder(root) if place == "disk" else put(recorded, root)

    status = invoke("status", root, "--json")
    assert (status.code, status.data[0]["reasons"], status.stderr) == (0, {"truncated": 2}, "")
    deep = invoke("verify", root, "--deep", "--json")
    assert (deep.code, deep.data["pictures"], deep.data["problems"]) == (0, 8, [])

    for layout, count in (("parquet", 1), ("webdataset", 1), ("imagefolder", 8)):
        words = ("export", root, "--to", f"{base}/{layout}", "--format", layout, "--json")
        done, again = invoke(*words), invoke(*words)
        assert (done.code, done.data["records"], done.data["made"], done.data["left"]) == (0, 8, count, 0), done.stderr
        assert (again.code, again.data["made"]) == (0, 0)
    assert invoke("verify", f"{base}/parquet", "--deep").code == 0

    before = contents(folder)
    dry = invoke("forget", root, "--content", "p1.png", "--style", "ink", "--json")
    assert (dry.code, dry.data["done"], dry.data["records"], dry.data["failed"]) == (0, False, 5, 1)
    assert contents(folder) == before
    done = invoke("forget", root, "--content", "p1.png", "--style", "ink", "--yes", "--json")
    assert (done.code, done.data["done"], len(done.data["representations"])) == (0, True, 1), done.stderr
    verified = invoke("verify", root, "--deep", "--json")
    assert (verified.code, verified.data["pictures"], verified.data["forgotten"]) == (0, 3, 6)
    assert not [name for name in folder.list("data") if b"p1.png" in folder.read(name)]

    folder.publish(".atelier-probe-1", b"1")
    time.sleep(1.1)  # times on S3 are whole seconds
    found = invoke("gc", root, "--older-than", "0s", "--json")
    assert [one["name"] for one in found.data["orphans"]] == [".atelier-probe-1"]
    assert invoke("gc", root, "--older-than", "0s", "--yes").code == 0
    assert not folder.exists(".atelier-probe-1")


def test_a_run_goes_on_from_a_compacted_dataset_and_brings_nothing_back(atelier: Atelier, recorded: Path) -> None:
    new = recorded.parent / "new"
    assert invoke("export", recorded, "--to", new, "--json").data["records"] == 8
    assert invoke("forget", new, "--content", "p2.png", "--style", "wave", "--yes").code == 0
    job = recorded.parent / "job.yaml"
    job.write_text(yaml.safe_dump({**yaml.safe_load(job.read_text()), "output": "new"}))
    again = atelier("run", job, "--json", code=WITHOUT_RAY_AND_PREFECT)
    assert (again.code, again.data["made"], again.data["records"], again.data["failed"]) == (0, 0, 3, 1), again.stderr


def test_reports_are_written_anew_without_what_was_taken_down(recorded: Path) -> None:
    assert invoke("report", recorded).code == 0
    page = recorded / "reports/00001/index.html"
    (recorded / "reports/00000").mkdir()
    (recorded / "reports/00000/index.html").write_text("an older one: p2.png")
    assert all(name in page.read_text() for name in ("p2.png", ">ink<", ">wave<"))
    assert invoke("forget", recorded, "--content", "p2.png", "--style", "ink", "--yes").code == 0
    assert not any(name in page.read_text() for name in ("p2.png", ">ink<"))
    assert ">wave<" in page.read_text()
    assert not (recorded / "reports/00000/index.html").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("forget", "--content", "p9.png", "--yes"), "No plan has a content 'p9.png'"),
        (("forget", "--style", "inc", "--yes"), "No plan has a style 'inc': did you mean 'ink'?"),
        (("abandon", "--plan", "1"), "Plan 1 is not open"),
        (("gc", "--older-than", "soon"), "'soon' is no age"),
        (("export", "--to", "OUT"), "There is something at"),
        (("export", "--to", "x", "--where", "seed > 1"), "A dataset holds every pair"),
        (("export", "--to", "x", "--format", "webdataset", "--label", "style"), "'style' is no column of class"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_exit_code_2(
    recorded: Path, words: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recorded.parent)
    verb, *options = (str(recorded) if word == "OUT" else word for word in words)
    before = {path: path.stat().st_mtime_ns for path in recorded.rglob("*")}
    outcome = invoke(verb, recorded, *options)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith("atelier: ")
    assert sentence in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in recorded.rglob("*")} == before


def test_an_export_that_was_killed_completes(atelier: Atelier, recorded: Path) -> None:
    target = recorded.parent / "tree"
    words = ("export", recorded, "--to", target, "--format", "imagefolder", "--json")
    process = atelier.start(*words, code=WITHOUT_RAY_AND_PREFECT)
    wait_for(lambda: list(target.rglob("*.png")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = atelier(*words, code=WITHOUT_RAY_AND_PREFECT)
    assert (done.code, done.data["records"]) == (0, 8), done.stderr
    lines = [json.loads(line) for line in (target / "metadata.jsonl").read_text().splitlines()]
    assert sorted(line["file_name"] for line in lines) == sorted(
        f"{style}/p{number}.png" for style in ("ink", "wave") for number in range(4)
    )
    assert all((target / line["file_name"]).stat().st_size for line in lines)


def test_watching_ends_when_nothing_is_open(atelier: Atelier, recorded: Path) -> None:
    shard = recorded / "data/00001-00002.parquet"
    kept = shard.read_bytes()
    shard.unlink()
    assert invoke("status", recorded).code == 3
    process = atelier.start("status", recorded, "--watch", "0.2", "--json", code=WITHOUT_RAY_AND_PREFECT)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert (first[0]["open"], first[0]["records"]) == (1, 6)
    shard.write_bytes(kept)
    outcome = atelier.finish(process)
    assert outcome.code == 0
    assert json.loads(outcome.stdout.splitlines()[-1])[0]["open"] == 0
