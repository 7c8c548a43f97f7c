"""Verbs over a dataset of drawn styles: deep verification, exports, orphans."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tasks.corpus.settings import CorpusSettings
from tasks.dataset.compact import CompactExporter
from tasks.dataset.deep import check_deeply
from tasks.dataset.export import ExportRequest, export
from tasks.dataset.gc import find_orphans
from tasks.dataset.ledger import Ledger
from tasks.dataset.trees import TreeExporter
from tasks.storage import Folder
from tests.tasks.actors.making import photograph, write_photographs
from tests.tasks.actors.synthesis import Synthesis


def test_a_drawn_dataset_is_proven_exported_and_kept(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos" / "cat", 3)
    (tmp_path / "art").mkdir()
    for number in range(5):
        photograph(40, 48, 500 + number).save(tmp_path / "art" / f"a{number}.png")
    synthesis = Synthesis(tmp_path / "out", CorpusSettings(uri=str(tmp_path / "photos")))
    assert len(synthesis.make(str(tmp_path / "art"), styles=2, strength=[0.5, 1.0])) == 6

    ledger = Ledger(synthesis.output)
    found = check_deeply(ledger)
    assert (found.problems, found.pictures) == ([], 6)
    assert find_orphans(ledger, timedelta(0)) == []

    compact, tree = Folder(str(tmp_path / "compact")), Folder(str(tmp_path / "tree"))
    request = ExportRequest(format="parquet", object_bytes=10**9)
    assert export(ledger, compact, request, CompactExporter(ledger, compact, request)).records == 6
    again = check_deeply(Ledger(compact))
    assert (again.problems, again.pictures, again.is_whole) == ([], 6, True)
    request = ExportRequest(format="imagefolder", object_bytes=10**9)
    assert export(ledger, tree, request, TreeExporter(ledger, tree, request)).records == 6
    assert len([name for name in tree.list("") if not name.endswith((".jsonl", ".json"))]) == 6
