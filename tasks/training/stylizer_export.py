"""A trained stylizer as files to ship, in the layout that its method loads, with figures on unseen pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tasks.methods.settings import MethodSettings
from tasks.records import RequestError
from tasks.training.export import read_average, read_history, save_half, write_card
from tasks.training.networks import NETWORKS, Stylizer, build_stylizer, trained_files


@dataclass(frozen=True)
class StylizerRun:
    """The averaged network of a run, in half precision as it ships, and what it was trained as."""

    folder: Path
    name: str
    encoder: str
    encoder_weights: str | None
    network: Stylizer


def open_run(folder: Path) -> StylizerRun:
    """What a run has trained. Raises RequestError where it is no stylizer's."""
    recipe = read_history(folder)["phases"][-1]["recipe"]
    name = recipe.get("network", "adain")  # what runs were of before there were others
    if name not in NETWORKS:
        raise RequestError(f"{folder} is not a run of a stylizer: name the folder of one of {', '.join(NETWORKS)}.")
    # A network that learned from an adversary is one part of two.
    tensors, _ = read_average(folder, "stylizer" if recipe.get("adversarial_weight") else "")
    network = build_stylizer(name, recipe.get("encoder", "small"))
    network.load_state_dict({key: tensor.half().float() for key, tensor in tensors.items()})
    return StylizerRun(folder, name, recipe.get("encoder", "small"), recipe.get("encoder_weights"), network.eval())


def write_weights(run: StylizerRun, folder: Path) -> dict[str, Path]:
    """Write each file, half precision; their paths by the field of the method's `weights` that takes them."""
    files, paths = trained_files(run.network), {}
    base = f"{run.name.replace('_', '-')}-{run.encoder}"
    for field, tensors in files.items():
        paths[field] = folder / f"{base if len(files) == 1 else f'{base}-{field}'}.safetensors"
        save_half(tensors, paths[field])
    return paths


def settings_of(run: StylizerRun, paths: Mapping[str, Path]) -> MethodSettings:
    """The method's settings with these weights, and the encoder that they were trained on."""
    places = {field: str(path) for field, path in paths.items()}
    weights = places.get("weights") or {"encoder": run.encoder_weights, **places}
    values = {"name": run.name, "encoder": run.encoder, "weights": weights}
    settings: MethodSettings = TypeAdapter(MethodSettings).validate_python(values)
    return settings


def write_cards(run: StylizerRun, paths: Mapping[str, Path], folder: Path, about: dict[str, Any]) -> None:
    """A card beside each file, `about` on it as it is."""
    for path in paths.values():
        write_card(run.folder, path.stem, path, folder, about)
