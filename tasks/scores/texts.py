"""Texts that pictures are compared with: from a file, a mapping of names, or the words themselves.

Dimension key: T texts, P prompts of a text, D embedding.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.clip import ClipEncoder
from tasks.plain_yaml import read_yaml
from tasks.records import RequestError
from tasks.storage import open_filesystem, storage_errors

MAPPINGS = frozenset([".yaml", ".yml", ".json"])
SUFFIXES = MAPPINGS | {".txt"}
MAX_BYTES = 16 * 2**20  # a hundred thousand texts; more is a picture or a table under a wrong name
FORMS = "one text a line, or a YAML or JSON mapping `name: text`"


@dataclass(frozen=True)
class NamedText:
    """A row of the matrix: one prompt, or several that stand for one meaning, each with a weight."""

    name: str
    prompts: tuple[str, ...]
    weights: tuple[float, ...]

    @property
    def text(self) -> str:
        """The prompts as one line."""
        return " + ".join(self.prompts)


def name_texts(named: Sequence[tuple[str, Sequence[str]]]) -> list[NamedText]:
    """Texts of equal weights within a row. Raises RequestError where a name comes twice or a text is empty."""
    texts = [NamedText(name, tuple(prompts), (1.0,) * len(prompts)) for name, prompts in named]
    names = [text.name for text in texts]
    doubled = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if doubled is not None:
        raise RequestError(f"The text {doubled!r} comes twice: remove one.")
    empty = next((text.name for text in texts if not text.prompts or not all(p.strip() for p in text.prompts)), None)
    if empty is not None:
        raise RequestError(f"The text {empty!r} is empty: write words, or remove it.")
    return texts


def read_texts(values: Sequence[str]) -> list[NamedText]:
    """Texts from what a user names: files, by their suffix .txt, .yaml, .yml or .json, and words as they are.

    A line, or an item of a list, is its own name. Raises RequestError where a file cannot be read or says
    something else.
    """
    named: list[tuple[str, Sequence[str]]] = []
    for value in values:
        suffix = posixpath.splitext(value)[1].lower()
        named += _read_file(value, suffix) if suffix in SUFFIXES and "\n" not in value else [(value.strip(), [value])]
    return name_texts(named)


def embed(encoder: ClipEncoder, texts: Sequence[NamedText]) -> Tensor:
    """Embeddings_TD of unit length on the CPU: the weighted mean of a row's prompts, brought back to length 1.

    Averaging prompts so is the ensemble of Radford et al. 2021, section 3.1.4.
    """
    prompts_PD = encoder.embed_texts([prompt for text in texts for prompt in text.prompts]).cpu()
    rows, start = [], 0
    for text in texts:
        end = start + len(text.prompts)
        rows.append(torch.tensor(text.weights) @ prompts_PD[start:end])
        start = end
    return F.normalize(torch.stack(rows), dim=-1)


def _read_file(uri: str, suffix: str) -> list[tuple[str, Sequence[str]]]:
    content = _read(uri)
    if suffix not in MAPPINGS:
        return [(line.strip(), [line.strip()]) for line in content.splitlines() if line.strip()]
    try:
        value = json.loads(content) if suffix == ".json" else read_yaml(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RequestError(
            f"{uri} is not a {suffix[1:].upper()} file: {' '.join(str(error).split())[:200]}."
        ) from error
    if isinstance(value, dict):
        return [(str(name), _prompts(uri, str(name), texts)) for name, texts in value.items()]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [(item.strip(), [item]) for item in value]
    raise RequestError(f"{uri} holds no texts: write {FORMS}.")


def _prompts(uri: str, name: str, texts: Any) -> list[str]:
    prompts = [texts] if isinstance(texts, str) else texts
    if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
        raise RequestError(f"{name!r} in {uri} is no text: write {FORMS}.")
    return prompts


def _read(uri: str) -> str:
    filesystem, path = open_filesystem(uri)
    try:
        if filesystem.info(path)["size"] > MAX_BYTES:
            raise RequestError(f"{uri} is larger than a file of texts can be (16 MB).")
        return bytes(filesystem.cat_file(path)).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise RequestError(f"There is no file of texts at {uri}: check the path.") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{uri} is no UTF-8 text: write {FORMS}.") from error
    except storage_errors(filesystem) as error:
        raise RequestError(f"The texts {uri} cannot be read ({type(error).__name__}): check the path.") from error
