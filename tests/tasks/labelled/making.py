"""A small WikiArt: shards in the schema of `huggan/wikiart`, with its class names where they are known to us."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from tasks.labelled.draw import draw as draw_pictures
from tasks.labelled.place import RowPlace
from tasks.labelled.selection import select
from tasks.labelled.settings import TableSettings

# Number 49 came to the hub garbled, and is so in the dataset's own features.
GARBLED = "joaqu\u00e3\u00adn-sorolla"
KNOWN_ARTISTS = {
    0: "Unknown Artist",
    1: "boris-kustodiev",
    2: "camille-pissarro",
    3: "childe-hassam",
    4: "claude-monet",
    5: "edgar-degas",
    22: "vincent-van-gogh",
    49: GARBLED,
    128: "canaletto",
}
ARTISTS = [KNOWN_ARTISTS.get(number, f"artist-{number}") for number in range(129)]
GENRES = [
    "abstract_painting",
    "cityscape",
    "genre_painting",
    "illustration",
    "landscape",
    "nude_painting",
    "portrait",
    "religious_painting",
    "sketch_and_study",
    "still_life",
    "Unknown Genre",
]
STYLES = [
    "Abstract_Expressionism",
    "Action_painting",
    "Analytical_Cubism",
    "Art_Nouveau",
    "Baroque",
    "Color_Field_Painting",
    "Contemporary_Realism",
    "Cubism",
    "Early_Renaissance",
    "Expressionism",
    "Fauvism",
    "High_Renaissance",
    "Impressionism",
    "Mannerism_Late_Renaissance",
    "Minimalism",
    "Naive_Art_Primitivism",
    "New_Realism",
    "Northern_Renaissance",
    "Pointillism",
    "Pop_Art",
    "Post_Impressionism",
    "Realism",
    "Rococo",
    "Romanticism",
    "Symbolism",
    "Synthetic_Cubism",
    "Ukiyo_e",
]
CLASSES = {"artist": ARTISTS, "genre": GENRES, "style": STYLES}
FEATURES: dict[str, Any] = {"image": {"_type": "Image"}} | {
    column: {"names": names, "_type": "ClassLabel"} for column, names in CLASSES.items()
}
SCHEMA = pa.schema(
    [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    + [(column, pa.int64()) for column in CLASSES]
)
# Few enough that some classes are in each shard.
DRAWN = {"artist": [1, 2, 4, 22, 49], "genre": [4, 6], "style": [12, 20, 26]}
GROUP_ROWS = 8


def painting(number: int) -> bytes:
    """A small JPEG; another number, another picture."""
    values_HWC = np.random.default_rng(number).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(values_HWC).resize((40, 30)).save(file, "JPEG", quality=90)
    return file.getvalue()


def rows_of(shard: int, rows: int) -> list[dict[str, Any]]:
    """Rows of a shard: pictures, and class numbers drawn for that shard alone."""
    rng = np.random.default_rng(1000 + shard)
    labels = {column: rng.choice(numbers, rows).tolist() for column, numbers in DRAWN.items()}
    return [
        {"image": {"bytes": painting(1000 * shard + row), "path": None}}
        | {column: values[row] for column, values in labels.items()}
        for row in range(rows)
    ]


def write_shard(path: Path, rows: Sequence[dict[str, Any]], features: dict[str, Any] | None = FEATURES) -> None:
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if features else None
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA.with_metadata(metadata)), path, row_group_size=GROUP_ROWS)


def write_wikiart(folder: Path, shards: int = 3, rows: int = 40, described: str = "schema") -> Path:
    """`data/train-0000N-of-0000M.parquet`, with class names in the schema, beside it (`infos`, `card`), or nowhere."""
    for shard in range(shards):
        name = f"data/train-{shard:05d}-of-{shards:05d}.parquet"
        write_shard(folder / name, rows_of(shard, rows), FEATURES if described == "schema" else None)
    describe(folder, described)
    return folder / "data"


def watch_groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of each row group that is read for its pictures from now on."""
    read: list[int] = []
    whole = pq.ParquetFile.iter_batches

    def note(file: pq.ParquetFile, *words: Any, **options: Any) -> Any:
        read.extend(options.get("row_groups", ()))
        return whole(file, *words, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", note)
    return read


def describe(folder: Path, described: str) -> None:
    """Class names in a file beside the shards, as the hub has them: `infos` to 2022 and `card` since."""
    if described == "infos":
        infos = {"huggan--wikiart": {"description": "art", "features": FEATURES, "splits": {"train": {}}}}
        (folder / "dataset_infos.json").write_text(json.dumps(infos))
    if described == "card":
        labels = [
            {"name": column, "dtype": {"class_label": {"names": {str(i): name for i, name in enumerate(names)}}}}
            for column, names in CLASSES.items()
        ]
        card = {"license": "unknown", "dataset_info": {"features": [{"name": "image", "dtype": "image"}, *labels]}}
        (folder / "README.md").write_text(f"---\n{yaml.safe_dump(card)}---\n# Words\n---\nmore\n")


def labels_in(table: Path, column: str) -> dict[tuple[str, int], str]:
    """The class of each row by (file, row), as plain reading of the whole table has it."""
    found = {}
    for path in sorted(table.glob("*.parquet")):
        for row, number in enumerate(pq.read_table(path)[column].to_pylist()):
            found[path.name, row] = CLASSES[column][number]
    return found


def draw(table: Path, said: list[str] | None = None, **settings: Any) -> dict[str, list[RowPlace]]:
    made = TableSettings.model_validate({"table": str(table), "by": "artist", **settings})
    say = (said if said is not None else []).append
    return draw_pictures(select(made, say), say)


def pairs(places: list[RowPlace]) -> list[tuple[str, int]]:
    return [(Path(place.file).name, place.row) for place in places]
