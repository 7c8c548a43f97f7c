"""Every method there is, opened small: what the contract runs over. A new method adds its settings to METHODS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from tasks.encoders.vgg import normalised_layout
from tasks.encoders.vgg_decoder import decoder_layout
from tasks.methods.adaattn import backbones as adaattn
from tasks.methods.adaattn import vgg as adaattn_files
from tasks.methods.adaattn.settings import SMALL_WEIGHTS as ADAATTN_WEIGHTS
from tasks.methods.adaattn.settings import AdaattnSettings
from tasks.methods.adaattn.settings import VggWeights as AdaattnVggWeights
from tasks.methods.adain.backbones import small_layout
from tasks.methods.adain.settings import SMALL_WEIGHTS, AdainSettings, VggWeights
from tasks.methods.base import Method, Pairs, Reference, Representation, Style
from tasks.methods.clipstyler.settings import AdainWeights, FastSettings, OptimizeSettings
from tasks.methods.inst.settings import AdapterSettings, InversionSettings
from tasks.methods.mmist.settings import MmistSettings
from tasks.methods.settings import MethodSettings, open_method
from tasks.methods.style_kernel import backbones as style_kernel
from tasks.methods.style_kernel.settings import SMALL_WEIGHTS as STYLE_KERNEL_WEIGHTS
from tasks.methods.style_kernel.settings import StyleKernelSettings
from tasks.methods.style_kernel.settings import VggWeights as StyleKernelVggWeights
from tasks.methods.text_settings import TextSettings
from tasks.weights.catalog import embedded_names
from tests.tasks.encoders.diffusion.small_diffusion import save_small_diffusion
from tests.tasks.encoders.small_clip import save_small_clip
from tests.tasks.methods.inst.small_adapter import save_small_adapter
from tests.tasks.methods.mmist.small_generator import save_small_generator


def adain_small(folder: Path) -> AdainSettings:
    """With the weights that users get; with random ones in a source tree that has none yet."""
    if SMALL_WEIGHTS.removeprefix("embedded:") in embedded_names():
        return AdainSettings()
    tensors = random_tensors(small_layout())
    tensors["decoder.to_image.weight"] *= 0.2
    save_file(tensors, folder / "small.safetensors")
    return AdainSettings(weights=str(folder / "small.safetensors"))


def adain_vgg(folder: Path) -> AdainSettings:
    """The official layout with random values, whose pictures stay about the middle of [0, 1]."""
    decoder = random_tensors(decoder_layout())
    decoder["28.weight"] *= 0.1
    decoder["28.bias"] += 0.5
    torch.save(random_tensors(normalised_layout()), folder / "vgg_normalised.pth")
    torch.save(decoder, folder / "decoder.pth")
    weights = VggWeights(encoder=str(folder / "vgg_normalised.pth"), decoder=str(folder / "decoder.pth"))
    return AdainSettings(encoder="vgg", weights=weights)


def adain_in_the_colors_of_the_content(folder: Path) -> AdainSettings:
    return adain_small(folder).model_copy(update={"preserve_color": True, "strength": 0.8})


def style_kernel_small(folder: Path) -> StyleKernelSettings:
    """With the weights that users get; with random ones in a source tree that has none yet."""
    if STYLE_KERNEL_WEIGHTS.removeprefix("embedded:") in embedded_names():
        return StyleKernelSettings()
    tensors = quiet_heads(random_tensors(style_kernel.small_layout()))
    tensors["decoder.to_image.weight"] *= 0.2
    save_file(tensors, folder / "style-kernel-small.safetensors")
    return StyleKernelSettings(weights=str(folder / "style-kernel-small.safetensors"))


def style_kernel_vgg(folder: Path) -> StyleKernelSettings:
    """The published encoder's layout and our network over it, with random values."""
    network = quiet_heads(random_tensors(style_kernel.vgg_layout()))
    network["decoder.28.weight"] *= 0.1
    network["decoder.28.bias"] += 0.5
    torch.save(random_tensors(normalised_layout()), folder / "vgg_normalised.pth")
    save_file(network, folder / "style-kernel-vgg.safetensors")
    weights = StyleKernelVggWeights(
        encoder=str(folder / "vgg_normalised.pth"), network=str(folder / "style-kernel-vgg.safetensors")
    )
    return StyleKernelSettings(encoder="vgg", weights=weights)


def quiet_heads(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Kernels not too far from the identity, a gate that keeps about half."""
    heads = {name: 0.1 * tensor for name, tensor in tensors.items() if ".last." in name}
    return tensors | heads | {"alignment.gate.levels.bias": torch.tensor([1.0, 0.0])}


def adaattn_small(folder: Path) -> AdaattnSettings:
    """With the weights that users get; with random ones in a source tree that has none yet."""
    if ADAATTN_WEIGHTS.removeprefix("embedded:") in embedded_names():
        return AdaattnSettings()
    tensors = random_tensors(adaattn.small_layout())
    tensors["decoder.to_image.weight"] *= 0.2
    save_file(tensors, folder / "adaattn-small.safetensors")
    return AdaattnSettings(weights=str(folder / "adaattn-small.safetensors"))


def adaattn_vgg(folder: Path) -> AdaattnSettings:
    """The official layouts with random values, whose attention is neither flat nor on single tokens."""
    decoder = random_tensors(adaattn_files.decoder_layout())
    decoder[f"{adaattn_files.LAST}.weight"] *= 0.1
    decoder[f"{adaattn_files.LAST}.bias"] += 0.5
    files = {
        "encoder": random_tensors(normalised_layout()),
        "attention": soft_scores(random_tensors(adaattn_files.attention_layout(2))),
        "transformer": soft_scores(random_tensors(adaattn_files.transformer_layout())),
        "decoder": decoder,
    }
    for name, tensors in files.items():
        torch.save(tensors, folder / f"{name}.pth")
    weights = AdaattnVggWeights(**{name: str(folder / f"{name}.pth") for name in files})
    return AdaattnSettings(encoder="vgg", weights=weights)


def soft_scores(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Scores are sums over a thousand channels, and not scaled."""
    return tensors | {
        name: 0.2 * tensor for name, tensor in tensors.items() if name.removesuffix(".weight")[-1] in "fg"
    }


def clipstyler_optimize(_folder: Path) -> OptimizeSettings:
    """One update, which moves a picture enough to tell: more of them make much of a last bit."""
    return OptimizeSettings(mode="optimize", start="random", steps=2, crops=2, crop_size=16)


def clipstyler_fast(_folder: Path) -> FastSettings:
    return FastSettings(mode="fast", steps=3, batch=1, views=2, crop_size=64, strength=0.9)


def clipstyler_fast_vgg(folder: Path) -> FastSettings:
    """The official layouts with random values; one text has a decoder that was tuned before."""
    adain = adain_vgg(folder)
    torch.save(torch.load(folder / "decoder.pth", weights_only=True), folder / "clip_decoder_iter_200.pth.tar")
    decoders = [{"text": "black ink", "weights": str(folder / "clip_decoder_iter_200.pth.tar")}]
    weights = AdainWeights(**adain.weight_references())
    few = {"steps": 1, "batch": 1, "views": 1, "crop_size": 32}
    return FastSettings(mode="fast", encoder="vgg", weights=weights, decoders=decoders, **few)


def mmist_adain(_folder: Path) -> MmistSettings:
    """Pictures without a prior; few and small, sought in two updates."""
    return few_pictures(render_with={"name": "adain"}, representations=2)


def mmist_stylegan3(folder: Path) -> MmistSettings:
    """A generator of random weights, and the renderer of the paper; pictures are inverted, too."""
    weights = save_small_generator(folder / "stylegan3.safetensors")
    generator = {"name": "stylegan3", "weights": str(weights)}
    return few_pictures(generator=generator, representations=1, pictures="invert")


def few_pictures(**settings: Any) -> MmistSettings:
    few = {"starts": 8, "steps": 3, "learning_rate": 0.1, "crops": 2, "crop_size": 16, "size": 32}
    return MmistSettings(**few | settings)


def inst_patch(folder: Path) -> InversionSettings:
    """A model of random weights; each painting learned in two steps."""
    model = save_small_diffusion(folder / "model")
    return InversionSettings(weights=f"local-dir:{model}", updates=2, size=64, steps=3, guidance=3.0)


def inst_ip_adapter(folder: Path) -> AdapterSettings:
    model = save_small_diffusion(folder / "model")
    adapter = save_small_adapter(folder, model)
    return AdapterSettings(
        weights=f"local-dir:{model}", variant="ip_adapter", adapter=adapter, steps=3, blocks="all", guidance=3.0
    )


METHODS: dict[str, Callable[[Path], MethodSettings]] = {
    "adain-small": adain_small,
    "adain-vgg": adain_vgg,
    "adain-preserve-color": adain_in_the_colors_of_the_content,
    "style-kernel-small": style_kernel_small,
    "style-kernel-vgg": style_kernel_vgg,
    "adaattn-small": adaattn_small,
    "adaattn-vgg": adaattn_vgg,
    "clipstyler-optimize": clipstyler_optimize,
    "clipstyler-fast": clipstyler_fast,
    "clipstyler-fast-vgg": clipstyler_fast_vgg,
    "mmist-adain": mmist_adain,
    "mmist-stylegan3": mmist_stylegan3,
    "inst-patch": inst_patch,
    "inst-ip-adapter": inst_ip_adapter,
}


def random_tensors(layout: dict[str, list[int]]) -> dict[str, Tensor]:
    """Values that keep the scale of what passes through rectified convolutions (He et al., ICCV 2015)."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(shape, generator=generator) * (2 / max(1, torch.Size(shape[1:]).numel())) ** 0.5
        if name.endswith("weight")
        else torch.zeros(shape)
        for name, shape in layout.items()
    }


def picture(height: int, width: int, seed: int, count: int = 1) -> Tensor:
    """Pictures with large shapes and fine grain, N3HW."""
    generator = torch.Generator().manual_seed(seed)
    shapes = F.interpolate(torch.rand(count, 3, 5, 4, generator=generator), (height, width), mode="bilinear")
    return (shapes + 0.1 * torch.randn(count, 3, height, width, generator=generator)).clamp(0, 1)


def stripes(height: int, width: int, period: int = 4) -> Tensor:
    """Black and white bars, 3HW: a texture that no colours can hide."""
    return ((torch.arange(width) // period) % 2).float().expand(3, height, width).clone()


def style(*pictures_3HW: Tensor, weights: tuple[float, ...] | None = None) -> Style:
    weights = weights or (1.0,) * len(pictures_3HW)
    references = (Reference(weight, image) for weight, image in zip(weights, pictures_3HW, strict=True))
    return Style("some style", tuple(references))


def render_one(method: Method, image_13HW: Tensor, rep: Representation, seed: int = 0) -> Tensor:
    return method.render(method.encode(image_13HW), [rep], Pairs([0], [0], [seed]))


@pytest.fixture(scope="session", params=METHODS)
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MethodSettings:
    """Texts are read by a small CLIP, in few steps; over VGG, where each takes seconds, in one."""
    chosen = METHODS[request.param](tmp_path_factory.mktemp("weights"))
    clip = save_small_clip(tmp_path_factory.mktemp("clip") / "small")
    if isinstance(chosen, AdapterSettings):
        return chosen
    if isinstance(chosen, MmistSettings | InversionSettings):
        return chosen.model_copy(update={"clip": f"local-dir:{clip}"})
    steps, starts = (1, 2) if chosen.encoder == "vgg" else (3, 4)
    return chosen.model_copy(update={"texts": TextSettings(clip=f"local-dir:{clip}", steps=steps, starts=starts)})


@pytest.fixture(scope="session")
def method(settings: MethodSettings) -> Method:
    return open_method(settings)


@pytest.fixture(scope="session")
def reps(method: Method) -> list[Representation]:
    """Two unlike styles, the second of two pictures of different sizes."""
    first, second, third = picture(48, 64, seed=1)[0], stripes(56, 40), picture(33, 70, seed=3)[0]
    return method.represent([style(first), style(second, third, weights=(3.0, 1.0))])
