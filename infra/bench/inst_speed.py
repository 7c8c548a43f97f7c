"""InST against what its users run today: python -m infra.bench.inst_speed --shape sd15 (a GPU) or tiny (a CPU).

Weights are random: they do not matter for speed. Pictures of our method, 1 to 16 a call, against diffusers' img2img
pipeline called picture by picture; steps of inversion, paintings together and latents kept, against the authors'
recipe, one painting, its VAE and CLIP at every step, in float32. And what share of a chip's arithmetic ours uses.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionImg2ImgPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel

from tasks.encoders.clip import open_clip_model
from tasks.encoders.diffusion.backbone import open_diffusion
from tasks.methods.base import Pairs, Reference, Style
from tasks.methods.inst.inversion import Inverter
from tasks.methods.inst.paintings import read_painting
from tasks.methods.inst.settings import InversionSettings
from tasks.methods.inst.words import WordMethod
from tasks.training.diffusion_text import make_tokenizer

SCHEDULER = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}
BLOCKS = {
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}
# Stable Diffusion 1.5's configuration files; and the same made small.
SHAPES: dict[str, dict[str, Any]] = {
    "sd15": {
        "unet": {"block_out_channels": (320, 640, 1280, 1280), "cross_attention_dim": 768, "attention_head_dim": 8},
        "vae": (128, 256, 512, 512),
        "text": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
        "side": 512,
    },
    "tiny": {
        "unet": {"block_out_channels": (32, 64, 64, 64), "cross_attention_dim": 64, "attention_head_dim": 8},
        "vae": (32, 32, 64, 64),
        "text": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2},
        "side": 128,
    },
}
CLIPS = {"sd15": "ViT-L-14-quickgelu", "tiny": "ViT-S-32-alt"}  # the second only has to be small
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # of dense bfloat16, by their makers


def main() -> None:
    """Make a model, time everything, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--at-once", type=int, nargs="*", default=[1, 4, 16])
    parser.add_argument("--paintings", type=int, default=8)
    parser.add_argument("--updates", type=int, default=20)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        save_models(options.shape, Path(folder))
        time_pictures(options, Path(folder), device)
        time_inversion(options, Path(folder), device)


def time_pictures(options: argparse.Namespace, folder: Path, device: torch.device) -> None:
    """Pictures a second at guidance 10, strength 0.7: the pipeline one by one, then ours."""
    side = SHAPES[options.shape]["side"]
    images_N3SS = torch.rand(max(options.at_once), 3, side, side, generator=torch.Generator().manual_seed(0))
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    pipeline: Any = StableDiffusionImg2ImgPipeline.from_pretrained(
        folder / "model", dtype=dtype, local_files_only=True, safety_checker=None, requires_safety_checker=False
    ).to(device)
    pipeline.set_progress_bar_config(disable=True)
    common = {"prompt": "a painting", "strength": 0.7, "num_inference_steps": options.steps, "guidance_scale": 10.0}
    one = measure(partial(pipeline, image=images_N3SS[:1], output_type="pt", **common), device)
    print(f"diffusers, picture by picture: {1 / one:.3f} pictures/s")
    settings = make_settings(folder, options, prompt="[C]", steps=options.steps, guidance=10.0, strength=0.7)
    method = WordMethod(settings, open_diffusion(settings.weights, device, settings.precision))
    (rep,) = method.represent([Style("a painting", (Reference(text="a painting"),))])
    for count in options.at_once:
        pairs = Pairs(list(range(count)), [0] * count, list(range(count)))

        def paint(count: int = count, pairs: Pairs = pairs) -> Tensor:
            return method.render(method.encode(images_N3SS[:count]), [rep], pairs)

        seconds = measure(paint, device)
        with FlopCounterMode(display=False) as counter:
            paint()
        rate = counter.get_total_flops() / seconds
        print(
            f"ours, {count} at once: {count / seconds:.3f} pictures/s, {one * count / seconds:.2f} times; {share(rate)}"
        )


def time_inversion(options: argparse.Namespace, folder: Path, device: torch.device) -> None:
    """Steps of a painting a second: the authors' recipe, then ours, alone and together."""
    side = SHAPES[options.shape]["side"]
    pictures = list(torch.rand(options.paintings, 3, side, side, generator=torch.Generator().manual_seed(1)))
    plain = make_settings(folder, options, precision="float32", updates=options.updates, size=side)
    official = open_inverter(plain, device)

    def as_the_authors() -> None:
        lesson = official._begin(pictures[0])
        for update in range(options.updates):
            lesson.painting = read_painting(pictures[0], official.diffusion, official.encoder, side, False)
            official._step([lesson], update)

    one = measure(as_the_authors, device) / options.updates
    print(f"as the authors: {1 / one:.2f} steps/s")
    ours = open_inverter(make_settings(folder, options, updates=options.updates, size=side), device)
    for count in dict.fromkeys((1, options.paintings)):

        def learn(count: int = count) -> None:
            lessons = [ours._begin(picture_3SS) for picture_3SS in pictures[:count]]
            for update in range(options.updates):
                ours._step(lessons, update)

        seconds = measure(learn, device) / (options.updates * count)
        print(f"ours, {count} together: {1 / seconds:.2f} steps of a painting/s, {one / seconds:.2f} times")


def open_inverter(settings: InversionSettings, device: torch.device) -> Inverter:
    """With its networks on a device."""
    diffusion = open_diffusion(settings.weights, device, settings.precision)
    return Inverter(diffusion, open_clip_model(settings.clip, str(device)), settings)


def make_settings(folder: Path, options: argparse.Namespace, **values: Any) -> InversionSettings:
    """Of the model in the folder."""
    named = {"weights": f"local-dir:{folder / 'model'}", "clip": f"local-dir:{folder / 'clip'}"}
    return InversionSettings(**named | {"paintings_at_once": options.paintings, "pairs_at_once": 16} | values)


def measure(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of the second of two runs: what is compiled or chosen once is not in it."""
    for _ in range(2):
        if device.type == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    return seconds


def share(rate: float) -> str:
    """A rate of arithmetic, and its share of the chip's."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    peak = next((peak for chip, peak in PEAKS.items() if chip in name), None)
    return f"{rate / 1e12:.2f} TFLOP/s" + (f", {rate / peak:.0%} of a {name}" if peak else "")


def save_models(shape: str, folder: Path) -> None:
    """A diffusion model and a CLIP of random weights, as their users have them on disk."""
    torch.manual_seed(0)
    chosen = SHAPES[shape]
    count = len(chosen["vae"])
    vae = AutoencoderKL(
        block_out_channels=chosen["vae"],
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * count,
        up_block_types=("UpDecoderBlock2D",) * count,
        sample_size=chosen["side"],
    )
    tokenizer = make_tokenizer(77)
    text = CLIPTextModel(CLIPTextConfig(**chosen["text"], vocab_size=49408, eos_token_id=tokenizer.eos_token_id))
    StableDiffusionImg2ImgPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(sample_size=chosen["side"] // 8, layers_per_block=2, **chosen["unet"], **BLOCKS),
        scheduler=DDIMScheduler(**SCHEDULER, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder / "model")
    (folder / "clip").mkdir()
    model, config = open_clip.create_model(CLIPS[shape]), open_clip.get_model_config(CLIPS[shape])
    preprocess = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    save_file(model.state_dict(), folder / "clip" / "open_clip_model.safetensors")
    text_config = json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    (folder / "clip" / "open_clip_config.json").write_text(text_config)


if __name__ == "__main__":
    main()
