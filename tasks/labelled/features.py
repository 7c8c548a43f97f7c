"""Names of classes as a dataset gives them: in a Parquet file's own metadata, or in files beside it.

Three layouts of Hugging Face `datasets` hold them: the `huggingface` key of a Parquet schema, `dataset_infos.json`
(to 2022; `huggan/wikiart` has this one, a folder above its shards) and `dataset_info` in the YAML head of `README.md`.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import yaml

from tasks.records import RequestError
from tasks.storage import storage_errors

# Names of the classes of each column that has them, by class number.
ClassNames = Mapping[str, list[str]]

# The largest of them describe hundreds of configurations; what is larger is something else.
MAX_BYTES = 2**24
# huggan/wikiart keeps its shards in `data/`; the hub's own conversion keeps them in `default/train/`.
LEVELS_ABOVE = 2


def names_in_schema(metadata: Mapping[bytes, bytes] | None) -> ClassNames:
    """Class names in a Parquet schema's metadata; empty where there are none, or where they cannot be read."""
    try:
        described = json.loads((metadata or {})[b"huggingface"])
        return _names(described["info"]["features"])
    except (KeyError, TypeError, ValueError):
        return {}


def names_beside(filesystem: Any, folder: str, columns: Collection[str]) -> ClassNames:
    """Class names from the nearest description of a table with these columns: in its folder, or up to two above.

    Raises RequestError where the nearest one gives a column several lists of names.
    """
    for _ in range(LEVELS_ABOVE + 1):
        for name, parse in DESCRIPTIONS.items():
            path = posixpath.join(folder, name)
            fitting = [features for features in parse(_read(filesystem, path)) if set(columns) <= set(features)]
            if fitting:
                return _only(path, [_names(features) for features in fitting])
        above = posixpath.dirname(folder)
        if above in (folder, "", "/"):
            break
        folder = above
    return {}


def _from_infos(data: bytes) -> Iterator[Mapping[str, Any]]:
    """Features of each configuration in a `dataset_infos.json`."""
    try:
        infos = json.loads(data)
    except ValueError:
        return
    for info in infos.values() if isinstance(infos, dict) else ():
        features = info.get("features") if isinstance(info, dict) else None
        if isinstance(features, dict):
            yield features


def _from_readme(data: bytes) -> Iterator[Mapping[str, Any]]:
    """Features of each configuration in the YAML head of a dataset's card, in the form of the others."""
    head = f"{data.decode(errors='replace')}\n".replace("\r\n", "\n").split("\n---\n", 1)[0]
    if not head.startswith("---\n"):
        return
    try:
        card = yaml.safe_load(head.removeprefix("---\n"))
    except yaml.YAMLError:
        return
    infos = card.get("dataset_info") if isinstance(card, dict) else None
    for info in infos if isinstance(infos, list) else [infos]:
        features = info.get("features") if isinstance(info, dict) else None
        if isinstance(features, list):
            yield {str(one.get("name")): _feature(one.get("dtype")) for one in features if isinstance(one, dict)}


DESCRIPTIONS: dict[str, Callable[[bytes], Iterator[Mapping[str, Any]]]] = {
    "dataset_infos.json": _from_infos,
    "README.md": _from_readme,
}


def _feature(kind: Any) -> Any:
    """YAML writes a ClassLabel as {class_label: {names: {'0': first, '1': second}}}."""
    label = kind.get("class_label") if isinstance(kind, dict) else None
    names = label.get("names") if isinstance(label, dict) else None
    if isinstance(names, dict):
        numbered = {str(number): name for number, name in names.items()}
        names = [numbered.get(str(number)) for number in range(len(numbered))]
    return {"_type": "ClassLabel", "names": names}


def _names(features: Any) -> dict[str, list[str]]:
    found = {}
    for column, feature in features.items() if isinstance(features, dict) else ():
        names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            found[str(column)] = names
    return found


def _only(path: str, found: list[dict[str, list[str]]]) -> ClassNames:
    first, *others = found
    if any(other != first for other in others):
        raise RequestError(
            f"{path} describes several tables of these columns with different classes: put a description of its own "
            "beside the Parquet files."
        )
    return first


def _read(filesystem: Any, path: str) -> bytes:
    """A small file's bytes; none where it is not there, or cannot be had, as folders above a table may be closed."""
    try:
        if (filesystem.info(path)["size"] or 0) > MAX_BYTES:
            return b""
        return bytes(filesystem.cat_file(path))
    except storage_errors(filesystem):
        return b""
