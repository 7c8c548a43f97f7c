"""YAML that strangers wrote, as plain data: no tags, and no file that is small and unfolds to something enormous."""

from __future__ import annotations

from typing import Any, ClassVar

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

# A job with 20,000 styles has about 200,000 values. Aliases (`*name`) count as often as they are used.
MAX_VALUES = 1_000_000
MAX_DEPTH = 50


# What a number of 5,000 digits raises, the 31st of February, or a tag over what is not of its kind.
UNREADABLE = (ValueError, OverflowError, LookupError, AttributeError, TypeError)
# What YAML has beside the data that we take; a job has no use for bytes or sets.
UNWANTED = {f"tag:yaml.org,2002:{tag}" for tag in ("binary", "set", "omap", "pairs")}


class PlainLoader(yaml.SafeLoader):
    """Python's own lists, dicts, text, numbers and dates."""

    yaml_constructors: ClassVar[dict[Any, Any]] = {
        tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if tag not in UNWANTED
    }


class PlainYamlError(yaml.YAMLError):
    """Why a text is not read, where YAML itself would read it."""


def read_yaml(text: str) -> Any:
    """The value of a YAML text: dicts, lists, text, numbers, dates. Raises yaml.YAMLError, and nothing else.

    Aliases are unfolded by whoever walks the value: a kilobyte of them stands for a billion values, or for one that
    holds itself, so they are counted before anything is made of them.
    """
    try:
        loader = PlainLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {}, 0)
        return loader.construct_document(node)
    except RecursionError as error:
        raise PlainYamlError(f"it is nested more than {MAX_DEPTH} deep") from error
    except UNREADABLE as error:
        raise PlainYamlError(f"it has a value that cannot be read: {error}") from error


def _measure(node: Node, known: dict[int, int | None], depth: int) -> int:
    """Values that a node stands for, aliases unfolded. None is known of a node that is still being measured."""
    if depth > MAX_DEPTH:
        raise PlainYamlError(f"it is nested more than {MAX_DEPTH} deep")
    if id(node) not in known:
        known[id(node)] = None
        values = 1 + sum(_measure(child, known, depth + 1) for child in _children(node))
        if values > MAX_VALUES:
            raise PlainYamlError(f"its aliases (`*name`) stand for more than {MAX_VALUES:,} values")
        known[id(node)] = values
    measured = known[id(node)]
    if measured is None:
        raise PlainYamlError("one of its values holds itself by an alias (`*name`)")
    return measured


def _children(node: Node) -> list[Node]:
    if isinstance(node, SequenceNode):
        return list(node.value)
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return []
