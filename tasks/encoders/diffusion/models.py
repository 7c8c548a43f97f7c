"""Which latent diffusion model a reference names: its folder in diffusers' layout, and a digest of all that it holds.

A reference is `local-dir:FOLDER`, `hf:OWNER/REPO@REVISION` or `embedded:NAME`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.records import RequestError
from tasks.weights import references
from tasks.weights.catalog import EMBEDDED

FORMS = "write local-dir:FOLDER, a folder as diffusers saves it, or hf:OWNER/REPO@REVISION"
ON_HUB = re.compile(r"hf:(?P<repo>[^/@]+/[^/@]+)@(?P<revision>[^@]+)")
# Of each part: the class that it has to be, the configuration, and the weights.
NETWORKS = {
    "unet": ("UNet2DConditionModel", "config.json", "diffusion_pytorch_model"),
    "vae": ("AutoencoderKL", "config.json", "diffusion_pytorch_model"),
    "text_encoder": ("CLIPTextModel", "config.json", "model"),
}
SCHEDULER = Path("scheduler", "scheduler_config.json")
CHECKER = ("safety_checker", "feature_extractor")
# Half precision where a folder has that alone; never a pickle.
SUFFIXES = {"": ".safetensors", "fp16": ".fp16.safetensors"}
READ_FROM_HUB = ["*/*.json", "*/merges.txt", "*/*.safetensors", "model_index.json"]


@dataclass(frozen=True)
class DiffusionModel:
    """A model that is there. `name` says it in records; `variants` are the names that diffusers has for its files."""

    name: str
    folder: Path
    variants: dict[str, str | None]

    def digest(self) -> str:
        """SHA-256 over the files that change a picture: weights, configurations, the tokenizer's tables."""
        digests = {str(path.relative_to(self.folder)): references.digest(str(path)) for path in self._files()}
        return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()

    def config(self, part: str) -> dict[str, Any]:
        """The configuration of a part. Raises RequestError where it cannot be read."""
        file = SCHEDULER if part == "scheduler" else Path(part, NETWORKS[part][1])
        return _read_json(self.folder / file)

    @property
    def has_checker(self) -> bool:
        """Whether a safety checker lies beside the networks."""
        return all((self.folder / part).is_dir() for part in CHECKER)

    def _files(self) -> list[Path]:
        weights = [_weights_file(self.folder, part, variant) for part, variant in self.variants.items()]
        configs = [self.folder / part / file for part, (_, file, _) in NETWORKS.items()]
        return [*weights, *configs, self.folder / SCHEDULER, *sorted((self.folder / "tokenizer").glob("*.*"))]


def find_diffusion(reference: str) -> DiffusionModel:
    """Locate a model, fetching it where it is on the hub and not cached.

    Raises RequestError, in one sentence that says what to do, where there is none, or one that the methods here do
    not take: several text encoders, a network that does not predict noise, weights that are pickles.
    """
    scheme, colon, name = reference.partition(":")
    if scheme == "hf":
        return _check(reference, _fetch(reference))
    if colon and scheme == "local-dir":
        folder = Path(name).expanduser()
        found = _check(reference, folder)
        # A path says nothing to who reads the records elsewhere; the digest does.
        return DiffusionModel(f"local-dir:{folder.name}@{found.digest()[:12]}", folder, found.variants)
    if colon and scheme == "embedded" and (EMBEDDED / name / "model_index.json").is_file():
        return _check(reference, EMBEDDED / name)
    raise RequestError(f"{reference} is no diffusion model that can be had: {FORMS}.")


def resolve_folder(reference: str, resolve: Callable[[str], str]) -> str:
    """The reference with the path of a `local-dir:` replaced by `resolve` of it; any other as it is."""
    scheme, colon, path = reference.partition(":")
    return f"{scheme}{colon}{resolve(path)}" if scheme == "local-dir" else reference


def _fetch(reference: str) -> Path:
    match = ON_HUB.fullmatch(reference)
    if match is None:
        raise RequestError(f"Write {reference} as hf:OWNER/REPO@REVISION: a revision makes a run repeatable.")
    from huggingface_hub import snapshot_download  # slow to import, and few jobs name the hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(match["repo"], revision=match["revision"], allow_patterns=READ_FROM_HUB))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise RequestError(
            f"{reference} is neither cached nor to be fetched ({type(error).__name__}): check its name, allow the "
            "network once, or write local-dir:FOLDER."
        ) from error


def _check(reference: str, folder: Path) -> DiffusionModel:
    if not folder.is_dir():
        raise RequestError(f"There is no folder {folder} for {reference}: {FORMS}.")
    if (folder / "text_encoder_2").exists():
        raise RequestError(f"{reference} has two text encoders: take a model of the Stable Diffusion 1 family.")
    variants = {part: _find_variant(folder, part) for part in NETWORKS}
    found = DiffusionModel(reference, folder, variants)
    for part, (wanted, _, _) in NETWORKS.items():
        config = found.config(part)
        if wanted not in {config.get("_class_name"), *config.get("architectures", [])}:
            raise RequestError(f"{folder / part} is no {wanted}: take a model of the Stable Diffusion 1 family.")
    prediction = found.config("scheduler").get("prediction_type", "epsilon")
    if prediction != "epsilon":
        raise RequestError(f"The U-Net of {reference} predicts {prediction}: take one that predicts noise (epsilon).")
    return found


def _find_variant(folder: Path, part: str) -> str | None:
    """What diffusers calls the weights of a part: None, or fp16."""
    for variant in SUFFIXES:
        if _weights_file(folder, part, variant or None).is_file():
            return variant or None
    wanted = _weights_file(folder, part, None)
    raise RequestError(f"There is no {wanted}: save the model with safetensors; pickles are never read.")


def _weights_file(folder: Path, part: str, variant: str | None) -> Path:
    return folder / part / f"{NETWORKS[part][2]}{SUFFIXES[variant or '']}"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"There is no readable {path}: save the model again, as diffusers does.") from error
    if not isinstance(values, dict):
        raise RequestError(f"{path} is no configuration: save the model again, as diffusers does.")
    return values
