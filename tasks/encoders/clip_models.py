"""Which CLIP model a reference names: its configuration, its weights file and their digest.

A reference is `NAME/TAG` of open_clip, `local-dir:PATH` or `embedded:NAME`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tasks.records import RequestError
from tasks.weights import references
from tasks.weights.catalog import EMBEDDED

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
PREPROCESS_KEYS = ("mode", "mean", "std", "interpolation", "resize_mode", "fill_color")
FORMS = "write NAME/TAG of open_clip (ViT-B-32/laion2b_s34b_b79k), local-dir:FOLDER, or none"
# What fetching raises: hub and URL errors are OSErrors, a broken download is a RuntimeError.
FETCH_ERRORS = (OSError, RuntimeError, ValueError)


@dataclass(frozen=True)
class ClipModel:
    """A model that is there: `model` is open_clip's name for it, `config` and `preprocess` its own settings."""

    name: str
    model: str
    config: dict[str, Any]
    preprocess: dict[str, Any]
    weights: Path

    def digest(self) -> str:
        """SHA-256 over the weights file and over the settings that change an embedding."""
        settings = json.dumps([self.config, self.preprocess], sort_keys=True)
        return hashlib.sha256(f"{references.digest(str(self.weights))} {settings}".encode()).hexdigest()


def find_model(reference: str) -> ClipModel:
    """Locate a model and its weights, fetching them as open_clip does where they are not cached.

    Raises RequestError, in one sentence that says what to do, where the reference names nothing that can be had.
    """
    scheme, colon, name = reference.partition(":")
    if colon and scheme == "local-dir":
        return _find_in_folder(reference, Path(name).expanduser())
    if colon and scheme == "embedded":
        if not (EMBEDDED / name / CONFIG).is_file():
            raise RequestError(f"This version carries no {reference}: {FORMS}.")
        return _find_in_folder(reference, EMBEDDED / name)
    if _is_path(reference):
        raise RequestError(
            f"A file of CLIP weights does not say how pictures are prepared for it: in place of {reference} write "
            f"local-dir:FOLDER, a folder with {CONFIG} and {WEIGHTS}."
        )
    if colon:
        raise RequestError(f"{reference} is no CLIP model: {FORMS}.")
    return _find_published(reference)


def resolve_path(reference: str, resolve: Callable[[str], str]) -> str:
    """The reference with the path of a `local-dir:` replaced by `resolve` of it; any other as it is."""
    scheme, colon, path = reference.partition(":")
    return f"{scheme}{colon}{resolve(path)}" if scheme == "local-dir" else reference


def _is_path(reference: str) -> bool:
    looks = reference.startswith(("/", "./", "../", "~")) or reference.count("/") > 1
    return looks or "\\" in reference or Path(reference).suffix in {".pt", ".pth", ".bin", ".safetensors", ".npz"}


def _find_published(reference: str) -> ClipModel:
    import open_clip  # takes seconds, which a model in a folder need not wait for
    from open_clip.pretrained import get_pretrained_cfg

    name, _, tag = reference.partition("/")
    config = open_clip.get_model_config(name)
    if config is None:
        raise RequestError(f"open_clip has no model {name}{_nearest(name, open_clip.list_models())}; {FORMS}.")
    published = get_pretrained_cfg(name, tag)
    if not published:
        tags = open_clip.list_pretrained_tags_by_model(name)
        raise RequestError(
            f"open_clip has no weights {tag!r} for {name}{_nearest(tag, tags)}: write {name}/TAG, "
            f"where TAG is one of: {', '.join(tags) or 'none'}."
        )
    # Such weights load without complaint into the plain activation, and every embedding is then a little wrong.
    if published.get("quick_gelu") and not config.get("quick_gelu"):
        raise RequestError(f"The weights {tag} were trained with QuickGELU: write {name}-quickgelu/{tag}.")
    preprocess = {key: published[key] for key in PREPROCESS_KEYS if published.get(key) is not None}
    return ClipModel(reference, name, config, preprocess, _fetch(reference, published))


def _fetch(reference: str, published: dict[str, Any]) -> Path:
    from open_clip.pretrained import download_pretrained

    try:
        return Path(download_pretrained(published))
    except FETCH_ERRORS as error:
        raise RequestError(
            f"The weights of {reference} are neither cached nor to be fetched ({type(error).__name__}): allow the "
            "network once, or get them elsewhere and write local-dir:FOLDER."
        ) from error


def _find_in_folder(reference: str, folder: Path) -> ClipModel:
    if not folder.is_dir():
        hint = f": write the folder that holds it, with {CONFIG}" if folder.is_file() else ""
        raise RequestError(f"There is no folder {folder} for {reference}{hint}.")
    config = _read_config(folder)
    if not (folder / WEIGHTS).is_file():
        raise RequestError(f"{folder} has no {WEIGHTS}: a model is never scored with random weights, nor unpickled.")
    preprocess = {key: config["preprocess_cfg"][key] for key in PREPROCESS_KEYS if key in config["preprocess_cfg"]}
    found = ClipModel(reference, f"local-dir:{folder}", config["model_cfg"], preprocess, folder / WEIGHTS)
    if not reference.startswith("local-dir:"):
        return found
    # A path says nothing to who reads the records elsewhere; the digest does.
    name = f"local-dir:{folder.name}@{found.digest()[:12]}"
    return ClipModel(name, found.model, found.config, found.preprocess, found.weights)


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"{folder} has no readable {CONFIG}: save the model with its configuration.") from error
    parts = [config.get(name) for name in ("model_cfg", "preprocess_cfg")] if isinstance(config, dict) else [None]
    if not all(isinstance(part, dict) and part for part in parts):
        raise RequestError(
            f"{CONFIG} in {folder} needs model_cfg and preprocess_cfg: without them scores would be silently wrong."
        )
    if "trust_remote_code" in json.dumps(config):
        raise RequestError(f"{CONFIG} in {folder} asks to run code (trust_remote_code), which is never done.")
    return dict(config)


def _nearest(name: str, known: Sequence[str]) -> str:
    lowered = {other.lower(): other for other in known}
    matches = [lowered[match] for match in get_close_matches(name.lower(), lowered, n=3)]
    return f" (near it: {', '.join(matches)})" if matches else ""
