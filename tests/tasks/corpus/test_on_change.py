"""What becomes of a content that has changed since it was planned, in every kind of corpus."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pytest

from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import verify
from tasks.records import RequestError
from tasks.storage import Folder
from tests.tasks.corpus.conftest import picture
from tests.tasks.corpus.tars import samples, write_tar
from tests.tasks.dataset.making import finish, pairs_of, plan, plan_something, styles, wanted


@dataclass(frozen=True)
class Kind:
    """A corpus of three contents; then the last is another picture and there is a fourth."""

    write: Callable[[Path, list[int]], Path]
    changed: int  # contents that count as changed
    settings: dict[str, Any]


def tar(folder: Path, shades: list[int], mode: Any = "w") -> Path:
    members = [(f"{place:05d}.png", picture(shade)) for place, shade in enumerate(shades)]
    return write_tar(folder / ("a.tar" if mode == "w" else "a.tgz"), members, mode=mode).parent


def packed(folder: Path, shades: list[int]) -> Path:
    return tar(folder, shades, "w:gz")


def saved(folder: Path, shades: list[int]) -> Path:
    features = datasets.Features({"image": datasets.Image()})
    rows = {"image": [{"bytes": picture(shade), "path": None} for shade in shades]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(folder)
    return folder


def files(folder: Path, shades: list[int]) -> Path:
    folder.mkdir(exist_ok=True)
    for place, shade in enumerate(shades):
        if (folder / f"{place}.png").exists() and (folder / f"{place}.png").read_bytes() == picture(shade):
            continue
        (folder / f"{place}.png").write_bytes(picture(shade))
    (folder / "list.txt").write_text("".join(f"{place}.png\n" for place in range(len(shades))))
    return folder / "list.txt"


def digests(folder: Path, shades: list[int]) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [f"https://example.org/{n},{hashlib.sha256(picture(shade)).hexdigest()}" for n, shade in enumerate(shades)]
    (folder / "list.csv").write_text("\n".join(["image,sha256", *lines]))
    return folder / "list.csv"


MANIFEST = {"format": "manifest"}
KINDS = {
    "webdataset": Kind(tar, 3, {}),
    "webdataset, compressed": Kind(packed, 3, {}),
    "arrow": Kind(saved, 3, {}),
    "manifest of files": Kind(files, 1, MANIFEST),
    "manifest with digests": Kind(digests, 1, MANIFEST | {"allow": ["https://example.org"]}),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_changed_content_is_refused_kept_or_planned_as_the_job_says(tmp_path: Path, name: str) -> None:
    kind, dataset, chosen = KINDS[name], Folder(str(tmp_path / "dataset")), styles("wave")
    corpus = kind.write(tmp_path / "corpus", [1, 2, 3])
    first = plan_something(dataset, wanted(corpus, chosen, **kind.settings))
    assert len(pairs_of(dataset, first)) == 3
    assert plan(dataset, wanted(corpus, chosen, **kind.settings)) is None
    if name != "manifest with digests":  # nobody answers there
        finish(dataset)
        assert verify(dataset).is_whole

    kind.write(tmp_path / "corpus", [1, 2, 99, 4])
    os.utime(corpus)
    with pytest.raises(RequestError, match="has changed since it was stylized"):
        plan(dataset, wanted(corpus, chosen, **kind.settings))
    kept = plan_something(dataset, wanted(corpus, chosen, on_change="keep", **kind.settings))
    new = pairs_of(dataset, kept)
    assert len(new) == 1
    versions = plan_something(dataset, wanted(corpus, chosen, on_change="version", **kind.settings))
    changed = pairs_of(dataset, versions)
    assert len(changed) == kind.changed
    every = [pair for one in Ledger(dataset).chain for pair in pairs_of(dataset, one)]
    assert len(every) == len(set(every)) == 3 + 1 + kind.changed
    assert plan(dataset, wanted(corpus, chosen, on_change="version", **kind.settings)) is None


def test_a_sample_that_is_written_elsewhere_in_its_tar_is_still_the_same_content(tmp_path: Path) -> None:
    """Under `keep` its place does not matter, only its key."""
    dataset, chosen = Folder(str(tmp_path / "dataset")), styles("wave")
    write_tar(tmp_path / "corpus/a.tar", samples([1, 2, 3]))
    plan_something(dataset, wanted(tmp_path / "corpus", chosen))
    write_tar(tmp_path / "corpus/a.tar", samples([0, 3, 2, 1]))
    made = plan_something(dataset, wanted(tmp_path / "corpus", chosen, on_change="keep"))
    assert [content for content, _, _ in pairs_of(dataset, made)] == ["a.tar#00000"]
