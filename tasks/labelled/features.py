"""Names of classes as a dataset gives them: in a Parquet file's own metadata, or in files beside it.

Three layouts of Hugging Face `datasets` hold them: the `huggingface` key of a Parquet schema, `dataset_infos.json`
(to 2022; `huggan/wikiart` has this one, a folder above its shards) and `dataset_info` in the YAML head of `README.md`.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import yaml

from tasks.plain_yaml import read_yaml
from tasks.records import RequestError
from tasks.storage import shorten_error, storage_errors

# Names of the classes of each column that has them, by class number.
ClassNames = Mapping[str, list[str]]

# The largest of them describe hundreds of configurations; what is larger is something else.
MAX_BYTES = 2**24
# huggan/wikiart keeps its shards in `data/`; the hub's own conversion keeps them in `default/train/`.
LEVELS_ABOVE = 2
PLACES = "dataset_infos.json or README.md beside the files or up to two folders above"


def name_classes(
    schemas: Mapping[str, pa.Schema], columns: Sequence[str], beside: Callable[[str, Collection[str]], list[str] | None]
) -> dict[str, dict[str, list[str]]]:
    """For each file of a table the names of those columns that hold class numbers; none where nobody names them.

    They are the file's own, else those of a description that `beside` finds for a column of a table with such
    columns, else those that all other files agree on. Raises RequestError where other files have names, and these
    cannot be known.
    """
    names = {file: _own_names(schema, columns) for file, schema in schemas.items()}
    for column in columns:
        bare = {
            file for file, one in names.items() if column not in one and is_number(schemas[file].field(column).type)
        }
        if not bare:
            continue
        found = beside(column, schemas[min(bare)].names)
        if found is None and len(bare) < len(names):
            found = _agreed(column, min(bare), [one.get(column) for file, one in names.items() if file not in bare])
        if found is not None:
            for file in bare:
                names[file][column] = found
    return names


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds whole numbers, which may be those of classes."""
    return pa.types.is_integer(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _own_names(schema: pa.Schema, columns: Sequence[str]) -> dict[str, list[str]]:
    named = names_in_schema(schema.metadata)
    return {column: named[column] for column in columns if column in named and is_number(schema.field(column).type)}


def _agreed(column: str, bare: str, others: Sequence[list[str] | None]) -> list[str]:
    """The one list of names that other files have; None stands for one that has words in this column."""
    first = others[0]
    if first is None or any(other != first for other in others):
        raise RequestError(
            f"The column {column!r} of {bare} has numbers without names, and other files of the table have names: "
            f"put their names into {PLACES}."
        )
    return first


def names_in_schema(metadata: Mapping[bytes, bytes] | None) -> ClassNames:
    """Class names in a Parquet schema's metadata; empty where there are none, or where they cannot be read."""
    try:
        described = json.loads((metadata or {})[b"huggingface"])
        features = described["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    named = {column: _names(feature) for column, feature in features.items()} if isinstance(features, dict) else {}
    return {column: names for column, names in named.items() if names is not None}


def names_beside(filesystem: Any, folder: str, column: str, columns: Collection[str]) -> list[str] | None:
    """Class names of a column from the nearest description that has it: in a folder, or up to two above.

    Of several tables in one description, those count that have all `columns`, if there are such. None where there is no
    description of the column, or the nearest gives no names. Raises RequestError where it cannot be read, or gives
    several lists of names.
    """
    for _ in range(LEVELS_ABOVE + 1):
        for name, parse in DESCRIPTIONS.items():
            path = posixpath.join(folder, name)
            tables = [table for table in _read(filesystem, path, parse) if column in table]
            if tables:
                fitting = [table for table in tables if set(columns) <= set(table)]
                return _only(path, column, [_names(table[column]) for table in fitting or tables])
        above = posixpath.dirname(folder)
        if above in (folder, "", "/"):
            break
        folder = above
    return None


def _from_infos(data: bytes) -> Iterator[Mapping[str, Any]]:
    """Features of each configuration in a `dataset_infos.json`. Raises ValueError."""
    infos = json.loads(data)
    for info in infos.values() if isinstance(infos, dict) else ():
        features = info.get("features") if isinstance(info, dict) else None
        if isinstance(features, dict):
            yield features


def _from_readme(data: bytes) -> Iterator[Mapping[str, Any]]:
    """Features of each configuration in the YAML head of a dataset's card, in the form of the others.

    Raises ValueError where the head names `dataset_info` and is no YAML; one that does not may be anything.
    """
    head = f"{data.decode(errors='replace')}\n".replace("\r\n", "\n").split("\n---\n", 1)[0]
    if not head.startswith("---\n") or "dataset_info" not in head:
        return
    try:
        card = read_yaml(head.removeprefix("---\n"))
    except yaml.YAMLError as error:
        raise ValueError("its head is no YAML") from error
    infos = card.get("dataset_info") if isinstance(card, dict) else None
    for info in infos if isinstance(infos, list) else [infos]:
        features = info.get("features") if isinstance(info, dict) else None
        if isinstance(features, list):
            yield {str(one.get("name")): _feature(one.get("dtype")) for one in features if isinstance(one, dict)}


Parser = Callable[[bytes], Iterator[Mapping[str, Any]]]
DESCRIPTIONS: dict[str, Parser] = {"dataset_infos.json": _from_infos, "README.md": _from_readme}


def _feature(kind: Any) -> Any:
    """YAML writes a ClassLabel as {class_label: {names: {'0': first, '1': second}}}."""
    label = kind.get("class_label") if isinstance(kind, dict) else None
    names = label.get("names") if isinstance(label, dict) else None
    if isinstance(names, dict):
        numbered = {str(number): name for number, name in names.items()}
        names = [numbered.get(str(number)) for number in range(len(numbered))]
    return {"_type": "ClassLabel", "names": names}


def _names(feature: Any) -> list[str] | None:
    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    is_list = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    return names if is_list else None


def _only(path: str, column: str, found: Sequence[list[str] | None]) -> list[str] | None:
    first, *others = found
    if any(other != first for other in others):
        raise RequestError(
            f"{path} describes several tables with different classes of {column!r}: put a description of its own "
            "beside the Parquet files."
        )
    return first


def _read(filesystem: Any, path: str, parse: Parser) -> list[Mapping[str, Any]]:
    """What a description says of each table; nothing where it is not there. Raises RequestError."""
    try:
        if (filesystem.info(path)["size"] or 0) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES} bytes")
        return list(parse(bytes(filesystem.cat_file(path))))
    except FileNotFoundError:
        return []
    except storage_errors(filesystem) as error:
        raise RequestError(
            f"{path} may hold the names of classes, and cannot be read ({shorten_error(error)}): mend, replace or "
            "remove it."
        ) from error
