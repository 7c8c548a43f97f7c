"""A shard over each kind of corpus: the same photographs give the same pictures, and damaged ones fail alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest

from tasks.actors.orders import ShardOrder
from tasks.corpus import open_corpus
from tasks.corpus.settings import CorpusSettings
from tasks.styles import PlannedStyle
from tests.tasks.actors.making import IMAGES, damaged_files, failures, load, make_order, pixels, records, stylize
from tests.tasks.corpus.tars import write_tar

Photographs = dict[str, bytes]


def as_tar(folder: Path, photographs: Photographs) -> CorpusSettings:
    members = [
        member
        for n, (name, data) in enumerate(photographs.items())
        for member in ((name, data), (f"{name[:-4]}.cls", b"%d" % n))
    ]
    return CorpusSettings(uri=str(write_tar(folder / "a.tar", members)))


def as_packed_tar(folder: Path, photographs: Photographs) -> CorpusSettings:
    return CorpusSettings(uri=str(write_tar(folder / "a.tgz", photographs.items(), mode="w:gz")))


def as_saved(folder: Path, photographs: Photographs) -> CorpusSettings:
    features = datasets.Features({"image": datasets.Image(), "name": datasets.Value("string")})
    rows = {"image": [{"bytes": data, "path": None} for data in photographs.values()], "name": list(photographs)}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(folder / "saved")
    return CorpusSettings(uri=str(folder / "saved"))


def as_manifest(folder: Path, photographs: Photographs) -> CorpusSettings:
    for name, data in photographs.items():
        (folder / name).write_bytes(data)
    (folder / "list.csv").write_text("image,label\n" + "".join(f"{name},x\n" for name in photographs))
    return CorpusSettings(uri=str(folder / "list.csv"), format="manifest")


KINDS: dict[str, Callable[[Path, Photographs], CorpusSettings]] = {
    "tar": as_tar,
    "packed tar": as_packed_tar,
    "saved": as_saved,
    "manifest": as_manifest,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_corpus_gives_the_same_pictures(
    tmp_path: Path, photos: Path, styles: tuple[PlannedStyle, ...], kind: str
) -> None:
    whole = {path.name: path.read_bytes() for path in sorted(photos.iterdir())}
    broken = {name: data for name, (data, _) in damaged_files().items()}
    stylize(load(tmp_path / "plain"), make_order(photos, styles[:1]))
    corpus = KINDS[kind](tmp_path, whole | broken)
    pieces = tuple(open_corpus(corpus).pieces({}))
    order = ShardOrder(1, 0, "digest", corpus, IMAGES, 0, styles[:1], pieces)
    footer = stylize(load(tmp_path / "out"), order)
    assert (footer.records, footer.failed) == (len(whole), len(broken))
    ours, theirs = list(pixels(tmp_path / "out").values()), list(pixels(tmp_path / "plain").values())
    assert max(int(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True)) <= 1
    assert {row["error_class"] for row in failures(tmp_path / "out")} == {
        reason for _, reason in damaged_files().values()
    }
    carried = {"tar": ("cls", 0), "saved": ("name", "p00.jpg"), "manifest": ("label", "x")}.get(kind)
    if carried is not None:
        assert records(tmp_path / "out")[0][carried[0]] == carried[1]
