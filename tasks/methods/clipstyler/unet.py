"""CLIPstyler's U-Net, as many of them at once as there are pairs: one grouped convolution a layer takes all of them.

P pairs (networks), C channels, H and W pixels, multiples of 8; O, I, k sides of a kernel. Parameters are named as
in the authors' state dict, with a first dimension P.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.placement import memory_format

Networks = Mapping[str, Tensor]

# Channels in and out of each block's first convolution (`UNet` in StyleNet.py, with 16 features at full size).
BLOCKS = {
    "init": (16, 16), "down1": (16, 16), "down2": (16, 32), "down3": (32, 64), "encoding": (64, 128),
    "up3": (192, 64), "up2": (96, 32), "up1": (48, 16), "out": (32, 16),
}  # fmt: skip
HALVED = {"down1": 16, "down2": 32, "down3": 64}  # channels that a convolution of stride 2 keeps


def unet_layout() -> dict[str, list[int]]:
    """Names and shapes of one network's 615,267 parameters."""
    weights = {"conv_init": [16, 3, 1, 1], "conv_fin": [3, 16, 1, 1]}
    for block, (narrow, wide) in BLOCKS.items():
        weights[f"{block}.conv.0"] = [wide, narrow, 3, 3]
        weights[f"{block}.conv.3"] = [wide, wide, 3, 3]
        weights[f"{block}.skip"] = [wide, narrow, 1, 1]
    weights |= {f"{block}.downsample": [wide, wide, 4, 4] for block, wide in HALVED.items()}
    biases = {f"{layer}.bias": shape[:1] for layer, shape in weights.items()}
    return {f"{layer}.weight": shape for layer, shape in weights.items()} | biases


def draw_networks(generators: Sequence[torch.Generator], device: torch.device) -> dict[str, Tensor]:
    """First parameters, each network's from its own generator (on the CPU), which moves on.

    Uniform within 1 over the root of the number of inputs: what PyTorch starts convolutions with, and so the authors'.
    """
    drawn: dict[str, list[Tensor]] = {name: [] for name in unet_layout()}
    reach = {name.removesuffix(".weight"): _fan_in(shape) ** -0.5 for name, shape in unet_layout().items()}
    for generator in generators:
        for name, shape in unet_layout().items():
            bound = reach[name.rpartition(".")[0]]
            drawn[name].append(torch.empty(shape).uniform_(-bound, bound, generator=generator))
    return {name: torch.stack(tensors).to(device) for name, tensors in drawn.items()}


def render_networks(networks: Networks, contents_PCHW: Tensor) -> Tensor:
    """What network p makes of content p: images_PCHW in (0, 1), float32 whatever the arithmetic before."""
    return torch.sigmoid(render_logits(networks, contents_PCHW).float())


def render_logits(networks: Networks, contents_PCHW: Tensor, layout: torch.memory_format | None = None) -> Tensor:
    """The same before the sigmoid, at the inputs' precision.

    Inside, the maps of all networks are the channels of one picture, 1CHW, in a layout that suits the device.
    """
    count, layout = len(contents_PCHW), layout or memory_format(contents_PCHW.device)
    contents_1CHW = contents_PCHW.flatten(0, 1)[None].contiguous(memory_format=layout)
    full = _block(networks, "init", _convolve(networks, "conv_init", contents_1CHW))
    levels, last = [full], full
    for block in HALVED:
        levels.append(_block(networks, block, last))
        last = _convolve(networks, f"{block}.downsample", levels[-1], stride=2, padding=1)
    last = _block(networks, "encoding", last)
    for block in ("up3", "up2", "up1"):
        doubled = F.interpolate(last, scale_factor=2, mode="bilinear", align_corners=False)
        last = _block(networks, block, _join(count, doubled, levels.pop()))
    logits_1CHW = _convolve(networks, "conv_fin", _block(networks, "out", _join(count, last, levels.pop())))
    return logits_1CHW[0].unflatten(0, (count, -1))


def _block(networks: Networks, name: str, maps_1CHW: Tensor) -> Tensor:
    """Two convolutions, each normalised and rectified, and a linear way around both."""
    inner = maps_1CHW
    for layer in ("conv.0", "conv.3"):
        convolved = _convolve(networks, f"{name}.{layer}", inner, padding=1)
        # Over a batch of one: `instance_norm`, which would copy the maps into another layout.
        inner = F.relu(F.batch_norm(convolved, None, None, training=True))
    return inner + _convolve(networks, f"{name}.skip", maps_1CHW)


def _convolve(networks: Networks, layer: str, maps_1CHW: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """Each network's convolution of its own maps, as one of P groups."""
    weight_POIkk, bias_PO = networks[f"{layer}.weight"], networks[f"{layer}.bias"]
    weight_OIkk, bias_O = weight_POIkk.flatten(0, 1), bias_PO.flatten()
    return F.conv2d(maps_1CHW, weight_OIkk, bias_O, stride, padding, groups=len(weight_POIkk))


def _join(count: int, first_1CHW: Tensor, second_1CHW: Tensor) -> Tensor:
    """Each network's maps of the first, then its maps of the second."""
    pairs = zip(first_1CHW.chunk(count, 1), second_1CHW.chunk(count, 1), strict=True)
    return torch.cat([maps for pair in pairs for maps in pair], 1)


def _fan_in(shape: Sequence[int]) -> int:
    inputs = 1
    for side in shape[1:]:
        inputs *= side
    return inputs
