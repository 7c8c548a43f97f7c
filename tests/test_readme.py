"""The README is true: its commands run, its snippets read the dataset, and every command is in it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
ATELIER = Path(sys.executable).parent / "atelier"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line.split("#")[0].split() for block in blocks("sh") for line in block.splitlines()]
    return [words for words in lines if words and words[0] == "atelier"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the demo has run and the README's job lies."""
    where = tmp_path_factory.mktemp("readme")
    subprocess.run([ATELIER, "demo"], cwd=where, check=True)
    (where / "job.yaml").write_text(blocks("yaml")[0])
    return where


# Seventeen commands, each a process of its own that starts Ray and Prefect.
@pytest.mark.timeout(900)
@pytest.mark.ray
@pytest.mark.prefect
def test_the_quickstart_runs_and_each_snippet_reads_what_it_made(folder: Path) -> None:
    printed = {}
    for words in commands():
        done = subprocess.run([ATELIER, *words[1:]], cwd=folder, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        printed.setdefault(" ".join(words[1:]), []).append(done.stdout)
    assert "96 records, 0 failed" in printed["run job.yaml"][0]
    assert "Nothing to do" in printed["run job.yaml"][1]
    assert "whole." in printed["verify out/mine"][0]
    for snippet in blocks("python"):
        subprocess.run([sys.executable, "-c", snippet], cwd=folder, check=True, timeout=240)
    assert (folder / "first.jpg").stat().st_size > 1000


@pytest.mark.ray
@pytest.mark.prefect
def test_the_demo_leaves_a_whole_dataset_and_a_report(folder: Path) -> None:
    done = subprocess.run([ATELIER, "verify", "out/demo/dataset"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "144 records, 0 failed" in done.stdout
    assert len(list((folder / "out/demo/photos").iterdir())) >= 24
    assert (folder / "out/demo/dataset/reports/00001/index.html").stat().st_size > 10_000


def test_every_command_is_in_the_readme_and_has_help() -> None:
    from pipelines.cli import app

    for command in app.registered_commands:
        assert command.callback is not None
        assert command.callback.__doc__
        assert f"`atelier {command.callback.__name__}" in README
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            assert f"`{command.name}`" in README or f"`atelier {group.name} {command.name}`" in README


def test_every_link_in_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (Path(__file__).parent.parent / target).exists(), target
