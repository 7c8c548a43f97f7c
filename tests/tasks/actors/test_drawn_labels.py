"""Labels of contents that draw: boxes, masks and splits go where their pixels go, or are refused."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.corpus.settings import CorpusSettings
from tasks.dataset.verify import verify
from tasks.images.settings import ImageSettings
from tasks.records import RequestError
from tests.tasks.actors.making import encoded, photograph
from tests.tasks.actors.synthesis import SPLIT, Row, Synthesis, write_art


@pytest.fixture(scope="module")
def art(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_art(tmp_path_factory.mktemp("bank") / "art")


def write_table(path: Path, count: int = 6) -> list[Row]:
    """Photographs with boxes, a mask, a numbered split and a label."""
    rows = []
    for number in range(count):
        mask = Image.new("L", (96, 64))
        mask.paste(200, (12, 8, 60, 40))
        rows.append(
            {
                "image": {"bytes": encoded(photograph(96, 64, number), "png"), "path": None},
                "objects": {"bbox": [[12.0, 8.0, 48.0, 32.0]], "category": [number]},
                "mask": encoded(mask, "png"),
                "part": number % 2,
                "label": f"class {number % 3}",
            }
        )
    rows[-1]["part"] = 2
    schema = pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("objects", pa.struct([("bbox", pa.list_(pa.list_(pa.float32()))), ("category", pa.list_(pa.int64()))])),
            ("mask", pa.binary()),
            ("part", pa.int64()),
            ("label", pa.string()),
        ]
    )
    names = {"_type": "ClassLabel", "names": ["train", "test", "unused"]}
    features = json.dumps({"info": {"features": {"part": names}}})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema.with_metadata({"huggingface": features})), path)
    return rows


LABELS = {"boxes": "objects", "masks": "mask"}


def test_boxes_masks_and_a_numbered_split_come_along(tmp_path: Path, art: Path) -> None:
    write_table(tmp_path / "corpus/a.parquet")
    corpus = CorpusSettings(uri=str(tmp_path / "corpus"), labels=LABELS)  # type: ignore[arg-type]
    images = ImageSettings(size=32, fit="crop", codec="png")
    synthesis = Synthesis(tmp_path / "out", corpus, images)
    rows = synthesis.make(str(art), styles=1, split=SPLIT | {"column": "part"})
    assert [(row["part"], row["bank_part"]) for row in rows] == [(n % 2, ["train", "test"][n % 2]) for n in range(5)]
    for number, row in enumerate(rows):
        # 96x64 to 48x32, of which the middle 32 columns: x / 2 - 8, y / 2.
        assert row["objects"] == {"bbox": [[0.0, 4.0, 22.0, 16.0]], "category": [number]}
        assert row["placement"] == {"scale_x": 0.5, "scale_y": 0.5, "offset_x": -8.0, "offset_y": 0.0}
        mask = np.asarray(Image.open(BytesIO(row["mask"])))
        assert (mask > 0).nonzero()[0].min() == 4
        assert (mask[4:20, 0:22] == 200).all()
        assert mask.sum() == 200 * 16 * 22
        assert (row["width"], row["height"]) == (32, 32)
    (failed,) = synthesis.rows("failures")
    assert (failed["error_class"], failed["style"], failed["bank_part"]) == ("unknown_split", "draw-1", None)
    found = verify(synthesis.output)
    assert found.is_whole, found.problems


def test_at_their_own_size_labels_are_the_same_bytes(tmp_path: Path, art: Path) -> None:
    given = write_table(tmp_path / "corpus/a.parquet", 3)
    corpus = CorpusSettings(uri=str(tmp_path / "corpus"))
    rows = Synthesis(tmp_path / "out", corpus, ImageSettings(size="keep")).make(str(art), styles=1)
    kept = ("objects", "mask", "label", "part")
    assert [[row[name] for name in kept] for row in rows] == [[row[name] for name in kept] for row in given]


def test_labels_that_nobody_named_are_refused_where_pixels_move(tmp_path: Path, art: Path) -> None:
    write_table(tmp_path / "corpus/a.parquet")
    synthesis = Synthesis(tmp_path / "out", CorpusSettings(uri=str(tmp_path / "corpus")))
    with pytest.raises(RequestError, match="The column 'objects' looks like places in pictures"):
        synthesis.plan(str(art))
