"""`atelier models` and `atelier models import`, in processes of their own."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from tasks.methods.inst.settings import InversionSettings
from tasks.weights.catalog import CHECKPOINTS, embedded_names
from tests.pipelines.conftest import Atelier
from tests.tasks.weights.embedding_files import write_embeddings
from tests.tasks.weights.snapshot_files import write_snapshot

# The command, and then on stderr whether torch came with it.
WATCHED = """
import sys
from pipelines.cli import main
try:
    main()
finally:
    print("torch is loaded:", "torch" in sys.modules, file=sys.stderr)
"""


def test_without_a_verb_the_weights_are_listed(atelier: Atelier) -> None:
    data = atelier("models", "--json").data
    assert data["official"].keys() == CHECKPOINTS.keys()
    assert data["embedded"].keys() == {f"embedded:{name}" for name in embedded_names()}
    lines = atelier("models").stdout.splitlines()
    assert len(lines) == len(data["official"]) + len(data["embedded"])
    wikiart = next(line for line in lines if line.startswith("stylegan3-wikiart-1024\t"))
    assert "wikiart-1024-stylegan3-t-17.2Mimg.pkl, 89.3 MB, not stated for the weights" in wikiart


def test_a_snapshot_is_imported_without_torch_and_the_line_for_a_job_is_printed(
    atelier: Atelier, tmp_path: Path
) -> None:
    snapshot, weights = write_snapshot(tmp_path / "art work.pkl"), tmp_path / "art work.safetensors"
    outcome = atelier("models", "import", snapshot, code=WATCHED)
    assert (outcome.code, outcome.stderr) == (0, "torch is loaded: False\n")
    line = outcome.stdout.splitlines()[-1]
    assert yaml.safe_load(line) == {"generator": {"name": "stylegan3", "weights": str(weights)}}
    assert weights.is_file()
    other = tmp_path / "other.safetensors"
    data = atelier("models", "import", snapshot, "--output", other, "--json").data
    assert data["generator"] == {"name": "stylegan3", "weights": str(other)}
    assert (data["weights"], data["tensors"], data["resolution"]) == (str(other), 4, 16)
    assert Path(data["card"]).is_file()


def test_embeddings_are_imported_by_the_same_command(atelier: Atelier, tmp_path: Path) -> None:
    path, weights = write_embeddings(tmp_path / "an: artist.pt"), tmp_path / "an: artist.safetensors"
    outcome = atelier("models", "import", path, code=WATCHED)
    assert (outcome.code, outcome.stderr) == (0, "torch is loaded: False\n")
    line = outcome.stdout.splitlines()[-1]
    assert line.startswith("method: {name: inst, variant: official, attention: ")
    read = InversionSettings(**yaml.safe_load(line)["method"])
    assert (read.attention, read.weights) == (str(weights), "local-dir:FOLDER")
    data = atelier("models", "import", path, "--json").data
    assert data["method"]["attention"] == data["weights"] == str(weights)
    assert (data["tensors"], data["width"]) == (12, 5)


def test_a_check_lists_globals_and_writes_nothing(atelier: Atelier, tmp_path: Path) -> None:
    snapshot = write_snapshot(tmp_path / "a.pkl")
    outcome = atelier("models", "import", snapshot, "--check")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert "collections.OrderedDict\tallowed" in outcome.stdout.splitlines()
    assert [path.name for path in tmp_path.iterdir()] == ["a.pkl"]
    outcome = atelier("models", "import", write_embeddings(tmp_path / "a.pt"), "--check")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert "ldm.modules.embedding_manager.Attentions\tallowed" in outcome.stdout.splitlines()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pkl", "a.pt"]


def test_what_an_import_would_refuse_ends_a_check_with_code_2(atelier: Atelier, tmp_path: Path) -> None:
    hostile = write_snapshot(tmp_path / "hostile.pkl", D=os.system)
    name = f"{os.system.__module__}.system"
    outcome = atelier("models", "import", hostile, "--check", "--json")
    assert (outcome.code, outcome.data["globals"][name]) == (2, False)
    assert f"{name}\tNOT ALLOWED" in atelier("models", "import", hostile, "--check").stdout
    other = write_snapshot(tmp_path / "other.pkl", G_ema=None)
    outcome = atelier("models", "import", other, "--check")
    assert outcome.code == 2
    assert "other.pkl is refused" in outcome.stderr
    for content, why in (({"extra": os.system}, ""), ({"attention": None}, "it has no attention of InST's")):
        outcome = atelier("models", "import", write_embeddings(tmp_path / "hostile.pt", **content), "--check")
        assert outcome.code == 2
        assert why in outcome.stderr


def test_a_refused_snapshot_is_one_sentence_and_code_2(atelier: Atelier, tmp_path: Path) -> None:
    hostile = write_snapshot(tmp_path / "hostile.pkl", D=os.system)
    outcome = atelier("models", "import", hostile)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith(f"atelier: hostile.pkl is refused: it names {os.system.__module__}.system")
    assert len(outcome.stderr.splitlines()) == 1
