"""How many pictures a second can be scored? python -m infra.bench.clip_speed [--photos 64] [--size 512] [--device cpu].

Preparation and image tower, as `ClipEncoder.embed_images` runs them: the embedded models, and ViT-B-32's shape with
random weights, which take the same time as trained ones.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import open_clip
import torch

from tasks.encoders.clip import ClipEncoder, open_clip_model

BATCH = 16


def main() -> None:
    """One line a model: median of the repeats, pictures in batches of 16."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (options.size, options.size, 3), np.uint8) for _ in range(options.photos)]
    for encoder in (
        open_clip_model("embedded:clip-small", options.device),
        open_clip_model("embedded:clip-judge-small", options.device),
        untrained("ViT-B-32", options.device),
    ):
        rates = [measure(encoder, images) for _ in range(options.repeats)]
        print(
            f"{encoder.name}: {statistics.median(rates):.1f} pictures/s, {torch.get_num_threads()} threads", flush=True
        )


def untrained(name: str, device: str) -> ClipEncoder:
    model = open_clip.create_model(name, pretrained=None)
    return ClipEncoder(f"{name} (shape)", model, open_clip.get_tokenizer(name), 512, device)


def measure(encoder: ClipEncoder, images: list[np.ndarray]) -> float:
    started = time.perf_counter()
    for start in range(0, len(images), BATCH):
        encoder.embed_images(images[start : start + BATCH])
    return len(images) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
