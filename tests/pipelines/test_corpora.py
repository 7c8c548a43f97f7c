"""Tars, a manifest and a saved dataset through the command line, into one dataset."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from tests.pipelines.conftest import Atelier, read_images, write_job
from tests.tasks.actors.making import write_photographs, write_style_pictures
from tests.tasks.corpus.tars import write_tar
from tests.tasks.corpus.website import open_website

pytestmark = [pytest.mark.ray, pytest.mark.prefect]


def test_every_kind_of_corpus_runs_from_end_to_end(atelier: Atelier, tmp_path: Path) -> None:
    photos = write_photographs(tmp_path / "photos", 9)
    write_style_pictures(tmp_path / "art")
    data = {path.stem: path.read_bytes() for path in sorted(photos.iterdir())}
    names = list(data)
    write_tar(tmp_path / "tars/a.tar", [(f"{name}.jpg", data[name]) for name in names[:3]])
    features = datasets.Features({"image": datasets.Image()})
    rows = {"image": [{"bytes": data[name], "path": None} for name in names[3:6]]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
    with open_website() as site:
        uris = [site.put(f"/{name}.jpg", data[name]) for name in names[6:]]
        (tmp_path / "list.txt").write_text("".join(f"{uri}\n" for uri in [*uris, f"{site.uri}/gone.jpg"]))
        manifest = {"uri": "list.txt", "format": "manifest", "allow": [site.uri]}
        for corpus in ("tars", "saved", manifest):
            outcome = atelier("run", write_job(tmp_path, corpus=corpus, max_failed=0.5), "--json")
            assert outcome.code == 0, outcome.stderr
    ids = [*(f"a.tar#{name}" for name in names[:3]), *(f"data-00000-of-00001.arrow#{n}" for n in range(3)), *uris]
    assert {content for content, _ in read_images(tmp_path / "out")} == set(ids)
    verified = atelier("verify", tmp_path / "out", "--json")
    assert (verified.code, verified.data["records"], verified.data["failed"]) == (0, 18, 2)
