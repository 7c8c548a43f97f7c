"""Trained StyleGAN3 generators: safetensors of the official keys, and the constructor's arguments in their metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tasks.encoders.placement import open_shared
from tasks.encoders.stylegan3.architecture import GeneratorConfig
from tasks.encoders.stylegan3.generator import Generator
from tasks.records import RequestError
from tasks.weights.loading import layout_of, match_layout
from tasks.weights.references import resolve

NETWORK = "a StyleGAN3 generator"
ARGUMENTS = "init_kwargs"  # the metadata's key
LAYER_WEIGHT = re.compile(r"synthesis\.L(?P<index>\d+)_(?P<size>\d+)_(?P<channels>\d+)\.weight")


def open_generator(reference: str, device: str) -> Generator:
    """The frozen generator of a weights reference, on a device, in evaluation mode; shared by all who ask for it.

    Raises RequestError, in one sentence, where there are no weights or they are another network's.
    """
    config = read_config(resolve(reference))
    generator = open_shared(NETWORK, {"generator": reference}, device, lambda read: _build(read["generator"], config))
    _lay_out_planes(generator)
    return generator


def read_config(path: Path) -> GeneratorConfig:
    """The settings of a generator's file: its metadata's, or without them what names and shapes say.

    Reads no weights. Raises RequestError.
    """
    metadata, layout = _read_header(path)
    if ARGUMENTS not in metadata:
        return infer_config(layout)
    try:
        arguments = json.loads(metadata[ARGUMENTS])
    except json.JSONDecodeError as error:
        raise RequestError(f"The {ARGUMENTS} of {path.name} are not JSON: get the file again.") from error
    if not isinstance(arguments, Mapping):
        raise RequestError(f"The {ARGUMENTS} of {path.name} are not named arguments: get the file again.")
    return GeneratorConfig.read(arguments)


def infer_config(layout: Mapping[str, Sequence[int]]) -> GeneratorConfig:
    """Settings from names and shapes of a state dict; what those do not show is the default. Raises RequestError."""
    found = sorted((int(match["index"]), match) for name in layout if (match := LAYER_WEIGHT.fullmatch(name)))
    try:
        names = [match.string.removesuffix(".weight") for _, match in found]
        kernel_OIKK, last_OIKK = layout[f"{names[0]}.weight"], layout[f"{names[-1]}.weight"]
        resolution, mapping_layers = int(found[-1][1]["size"]), len([name for name in layout if _is_mapping(name)])
        arguments: dict[str, Any] = {
            "z_dim": layout["mapping.fc0.weight"][1],
            "w_dim": layout["mapping.w_avg"][0],
            "img_resolution": resolution,
            # The layer before the colours has channels_base / resolution of them.
            "channel_base": last_OIKK[1] * resolution,
            "channel_max": layout["synthesis.input.weight"][0],
            "num_layers": len(names) - 1,
            "conv_kernel": kernel_OIKK[-1],
            "use_radial_filters": len(layout[f"{names[0]}.down_filter"]) == 2,
            "filter_size": layout[f"{names[0]}.up_filter"][0] // 2,  # the first layer doubles its rate
            "mapping_kwargs": {"num_layers": mapping_layers},
        }
    except (LookupError, ValueError) as error:
        raise RequestError(
            f"These are not the weights of {NETWORK}: a tensor of its input or layers is missing."
        ) from error
    return GeneratorConfig.read(arguments)


def _is_mapping(name: str) -> bool:
    return re.fullmatch(r"mapping\.fc\d+\.weight", name) is not None


def _read_header(path: Path) -> tuple[dict[str, str], dict[str, list[int]]]:
    """Metadata, and names and shapes."""
    try:
        with safe_open(path, "pt") as file:
            layout = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
            return file.metadata() or {}, layout
    except SafetensorError as error:
        hint = "run `atelier models import` on a training snapshot first"
        raise RequestError(f"{path.name} is not a safetensors file of {NETWORK}: {hint}.") from error


def _lay_out_planes(generator: Generator) -> None:
    """Undo `place`'s layout of kernels, channels last: filters read planes, and convolutions are as fast either way."""
    for parameter in generator.parameters():
        if parameter.stride() != torch.empty(parameter.shape, device="meta").stride():
            parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)


def _build(tensors: Mapping[str, Tensor], config: GeneratorConfig) -> Generator:
    with torch.device("meta"):
        generator = Generator(config)
    match_layout(tensors, layout_of(generator.state_dict()), NETWORK)
    generator.load_state_dict(dict(tensors), assign=True)
    return generator
