"""A trained latent diffusion model as diffusers reads it, half precision, and a card that says where it comes from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import nn

from tasks.records import RequestError
from tasks.training.diffusion import AUTOENCODER, DENOISER
from tasks.training.diffusion_networks import assemble, build_autoencoder, build_denoiser
from tasks.training.diffusion_settings import DiffusionSettings
from tasks.training.diffusion_text import open_text_tower
from tasks.training.export import read_average, read_curve, read_history, write_card
from tasks.training.history import LOSSES

NAME = "diffusion-small"
LARGEST = 40_000_000  # bytes of all weights: what may be shipped
PARTS = ("unet", "vae", "text_encoder")
WEIGHTS = {  # of each part, in its folder
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}


@dataclass(frozen=True)
class DiffusionRun:
    """The averaged networks of a run as a pipeline, float32 but rounded as they ship, and what they were trained by."""

    folder: Path
    settings: DiffusionSettings
    pipeline: Any


def open_diffusion_run(folder: Path) -> DiffusionRun:
    """What a run has trained so far. Raises RequestError where it is no latent diffusion's."""
    recipe = read_history(folder / DENOISER)["phases"][-1]["recipe"]
    if recipe.get("network") != "diffusion":
        raise RequestError(f"{folder} is not a run of `train diffusion`: name the folder of one.")
    known = {field.name for field in fields(DiffusionSettings)}
    chosen = {name: value for name, value in recipe.items() if name in known}
    settings: DiffusionSettings = TypeAdapter(DiffusionSettings).validate_python(chosen)
    text = open_text_tower(settings.text)
    autoencoder = load_average(build_autoencoder(settings), folder / AUTOENCODER)
    autoencoder.register_to_config(scaling_factor=recipe["scaling_factor"])
    denoiser = load_average(build_denoiser(settings, text.config.hidden_size), folder / DENOISER)
    return DiffusionRun(folder, settings, assemble(autoencoder, denoiser, text.half().float()))


def load_average(network: Any, stage: Path) -> Any:
    """The network with a stage's averaged weights, rounded to half precision, frozen."""
    network.load_state_dict(read_average(stage)[0])
    return network.half().float().eval().requires_grad_(False)


def write_diffusion(run: DiffusionRun, folder: Path) -> Path:
    """Write NAME in `folder`, as `StableDiffusionPipeline.from_pretrained` reads it; safetensors alone.

    Raises RequestError where the weights are larger than LARGEST.
    """
    networks = [getattr(run.pipeline, part) for part in PARTS]
    size = 2 * sum(parameter.numel() for network in networks for parameter in network.parameters())
    if size > LARGEST:
        raise RequestError(
            f"the weights of {run.folder} are {size / 1e6:.0f} MB in half precision, over the {LARGEST / 1e6:.0f} MB "
            "that a model to ship may have: train one with fewer channels."
        )
    written = folder / NAME
    save_halves(run.pipeline, networks, written)
    # tokenizer.json is enough to transformers 5; the older files are what other readers look for.
    run.pipeline.tokenizer.backend_tokenizer.model.save(str(written / "tokenizer"))
    # transformers 5 opens in the precision that is said here, diffusers in float32: left alone, parts would not fit.
    config = written / "text_encoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "dtype": "float32"}, indent=2) + "\n")
    return written


def save_halves(pipeline: Any, networks: list[nn.Module], folder: Path) -> None:
    """Save with weights in half precision, and leave them float32: they are rounded, so nothing is lost."""
    for network in networks:
        network.half()
    pipeline.save_pretrained(folder, safe_serialization=True)
    for network in networks:
        network.float()


def write_diffusion_card(run: DiffusionRun, written: Path, about: dict[str, Any]) -> None:
    """Write the card beside the model's folder: the U-Net's, with all weights files and how the first stage went."""
    stage = run.folder / AUTOENCODER
    files = {f"{part}/{file}": describe(written / part / file) for part, file in WEIGHTS.items()}
    first = {**read_history(stage), "loss_curve": read_curve(stage / LOSSES)}
    unet = written / "unet" / WEIGHTS["unet"]
    about = {**about, "files": files, "autoencoder_training": first}
    write_card(run.folder / DENOISER, written.name, unet, written.parent, about)


def describe(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
