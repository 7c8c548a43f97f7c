"""An IP-Adapter beside InST: the same verbs, and pictures as diffusers' own pipeline has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionImg2ImgPipeline
from safetensors.torch import load_file, save_file

from tasks.methods.base import Method, Pairs, Reference, Style
from tasks.methods.inst.adapter import AdapterMethod
from tasks.methods.inst.settings import AdapterSettings, AdapterWeights
from tasks.methods.settings import open_method
from tasks.records import RequestError
from tests.tasks.methods.conftest import picture, render_one, style
from tests.tasks.methods.inst.conftest import Open
from tests.tasks.methods.inst.small_adapter import save_small_adapter

PAINTING = picture(48, 64, seed=1)[0]
PLAIN = {"noise_timestep": "aligned", "stochastic_inversion": False}


@pytest.fixture(scope="session")
def weights(model: Path, tmp_path_factory: pytest.TempPathFactory) -> AdapterWeights:
    return save_small_adapter(tmp_path_factory.mktemp("adapter"), model)


def open_adapter(model: Path, weights: AdapterWeights, **values: Any) -> AdapterMethod:
    few: dict[str, Any] = {"steps": 6, "guidance": 3.0}
    settings = AdapterSettings(weights=f"local-dir:{model}", variant="ip_adapter", adapter=weights, **few | values)
    method = open_method(settings)
    assert isinstance(method, AdapterMethod)
    return method


@pytest.mark.parametrize("blocks", ["style", "all"])
def test_it_paints_as_diffusers_does(model: Path, weights: AdapterWeights, blocks: str) -> None:
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(
        model, local_files_only=True, safety_checker=None, requires_safety_checker=False
    )
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    tensors = load_file(weights.weights)
    state = {
        part: {name.removeprefix(f"{part}."): tensor for name, tensor in tensors.items() if name.startswith(part)}
        for part in ("image_proj", "ip_adapter")
    }
    pipeline.load_ip_adapter(state, subfolder="", weight_name="", image_encoder_folder=None)
    pipeline.set_ip_adapter_scale(0.8 if blocks == "all" else {"up": {"block_0": 0.8}})
    method = open_adapter(model, weights, **PLAIN, scale=0.8, blocks=blocks, prompt="a cat")
    (rep,) = method.represent([style(PAINTING)])
    image_1D = rep.tensors["image"][None]
    image = picture(128, 128, seed=4)
    expected = pipeline(
        prompt="a cat",
        image=image,
        strength=0.7,
        num_inference_steps=6,
        guidance_scale=3.0,
        ip_adapter_image_embeds=[torch.stack([torch.zeros_like(image_1D), image_1D])],
        generator=[torch.Generator().manual_seed(3)],
        output_type="pt",
    ).images
    assert (render_one(method, image, rep, seed=3) - expected).abs().max() < 1e-5


def test_a_painting_makes_a_difference_in_the_block_of_style(model: Path, weights: AdapterWeights) -> None:
    """A block that diffusers does not find leaves an adapter off, and says nothing."""
    image, pictures = picture(128, 128, seed=4), []
    for scale in (0.0, 1.0):
        method = open_adapter(model, weights, scale=scale)
        pictures.append(render_one(method, image, method.represent([style(PAINTING)])[0]))
    assert (pictures[0] - pictures[1]).abs().max() > 1e-3


def test_other_settings_of_the_model_have_no_adapter(model: Path, weights: AdapterWeights, open_words: Open) -> None:
    words, image = open_words(), picture(128, 128, seed=4)
    (rep,) = words.represent([Style("s", (Reference(text="ink"),))])
    before = render_one(words, image, rep)
    open_adapter(model, weights)
    assert torch.equal(render_one(words, image, rep), before)


def test_a_prompt_of_the_corpus_is_painted_with_the_painting(model: Path, weights: AdapterWeights) -> None:
    method: Any = open_adapter(model, weights)
    (rep,) = method.represent([style(PAINTING)])
    content = method.encode_prompts(["a cat", "a dog"], 64, 64)
    pictures = method.render(content, [rep], Pairs([0, 1], [0, 0], [1, 1]))
    assert (pictures[0] - pictures[1]).abs().max() > 1e-4


class TestWrongFiles:
    def test_a_file_of_something_else(self, model: Path, weights: AdapterWeights, tmp_path: Path) -> None:
        save_file({"unet.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
        wrong = weights.model_copy(update={"weights": str(tmp_path / "other.safetensors")})
        with pytest.raises(RequestError, match=r"is no IP-Adapter: it has a tensor unet\.weight"):
            open_adapter(model, wrong)

    def test_an_adapter_of_another_model(self, model: Path, weights: AdapterWeights, tmp_path: Path) -> None:
        tensors = {name: torch.zeros([7] * tensor.ndim) for name, tensor in load_file(weights.weights).items()}
        save_file(tensors, tmp_path / "other.safetensors")
        with pytest.raises(RequestError, match="does not fit"):
            open_adapter(model, weights.model_copy(update={"weights": str(tmp_path / "other.safetensors")}))

    def test_no_image_tower(self, model: Path, weights: AdapterWeights, tmp_path: Path) -> None:
        method: Method = open_adapter(model, weights.model_copy(update={"image_encoder": str(tmp_path)}))
        with pytest.raises(RequestError, match="no image tower"):
            method.represent([style(PAINTING)])

    def test_the_error_names_what_to_get(self, model: Path) -> None:
        with pytest.raises(ValueError, match="ip-adapter_sd15"):
            AdapterSettings(weights=f"local-dir:{model}", variant="ip_adapter")
