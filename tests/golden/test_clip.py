"""open_clip models as we open them, against numbers recorded from openai/CLIP; tolerances are those of the README."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.testing import assert_close

from tasks.encoders.clip import ClipEncoder, open_clip_model
from tests.golden.conftest import Fixture, Golden

EMBEDDINGS = 5e-5


@pytest.fixture(scope="module")
def recorded(golden: Golden) -> Fixture:
    return golden.fixture("clip_tiny")


@pytest.fixture(scope="module")
def encoder(golden: Golden, recorded: Fixture, tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    """The recorded network, opened from a folder as any user's model is."""
    folder = tmp_path_factory.mktemp("clip_tiny")
    weights = golden.weights(golden.layout("clip_tiny", "clip_tiny"), recorded.number("weights_namespace"))
    save_file(weights, folder / "open_clip_model.safetensors")
    config = {"model_cfg": open_clip_config(recorded.number("config")), "preprocess_cfg": {"mode": "RGB"}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return open_clip_model(f"local-dir:{folder}")


def open_clip_config(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration of openai/CLIP in open_clip's words."""
    return {
        "embed_dim": config["embed_dim"],
        "quick_gelu": config["activation"] == "quick_gelu",
        "vision_cfg": {
            "image_size": config["image_resolution"],
            "layers": config["vision_layers"],
            "width": config["vision_width"],
            "head_width": config["vision_width"] // config["vision_heads"],
            "patch_size": config["vision_patch_size"],
        },
        "text_cfg": {
            "context_length": config["context_length"],
            "vocab_size": config["vocab_size"],
            "width": config["transformer_width"],
            "heads": config["transformer_heads"],
            "layers": config["transformer_layers"],
        },
    }


def test_tokens_are_those_recorded(encoder: ClipEncoder, recorded: Fixture) -> None:
    assert torch.equal(encoder.tokenize(recorded.number("texts")).long(), recorded.tensors["tokens"])


def test_texts_embed_as_recorded(encoder: ClipEncoder, recorded: Fixture) -> None:
    expected = F.normalize(recorded.tensors["text_raw"], dim=-1)
    assert_close(encoder.embed_texts(recorded.number("texts")), expected, atol=EMBEDDINGS, rtol=0)


@pytest.mark.parametrize(("images", "embeddings"), [("content", "content_raw"), ("patches", "patch_raw")])
def test_prepared_images_embed_as_recorded(
    encoder: ClipEncoder, recorded: Fixture, images: str, embeddings: str
) -> None:
    """The recorded run resized without antialiasing and without rounding, unlike Pillow; its resizing is used here."""
    side = recorded.number("config")["image_resolution"]
    resized = F.interpolate(recorded.tensors[images], (side, side), mode="bicubic", align_corners=False)
    inputs_N3hw = encoder.preprocessing.normalize(resized)
    if images == "content":
        assert_close(
            inputs_N3hw[:, :, side // 2], recorded.tensors["content_clip_input_row112"], atol=EMBEDDINGS, rtol=0
        )
    assert_close(
        encoder.embed_inputs(inputs_N3hw), F.normalize(recorded.tensors[embeddings], dim=-1), atol=EMBEDDINGS, rtol=0
    )


def test_our_resizing_moves_an_embedding_little(encoder: ClipEncoder, recorded: Fixture) -> None:
    embedded_1D = encoder.embed_images(recorded.tensors["content"])
    assert (embedded_1D * F.normalize(recorded.tensors["content_raw"], dim=-1)).sum() > 0.99
