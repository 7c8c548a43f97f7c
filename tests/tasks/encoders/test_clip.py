"""CLIP models: which are opened and which refused, and embeddings of pictures and texts."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip import factory, pretrained
from PIL import Image
from torch.testing import assert_close

from tasks.encoders.clip import BATCH, ClipEncoder, digest, open_clip_model
from tasks.images.fitting import Pixels
from tasks.records import RequestError
from tests.tasks.encoders.small_clip import CONFIG, PREPROCESS, save_small_clip, seeded_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_clip(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> ClipEncoder:
    return open_clip_model(f"local-dir:{folder}")


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def change_config(folder: Path, **parts: Any) -> Path:
    path = folder / "open_clip_config.json"
    kept = json.loads(path.read_text()) | parts
    path.write_text(json.dumps({name: part for name, part in kept.items() if part is not None}))
    return folder


class TestOpening:
    def test_embeddings_are_those_of_open_clip_with_its_own_preparation(
        self, folder: Path, encoder: ClipEncoder
    ) -> None:
        model, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        picture = noise(61, 87)
        with torch.no_grad():
            image_1D = model.eval().encode_image(prepare(Image.fromarray(picture))[None], normalize=True)
            text_1D = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(["ink"]), normalize=True)
        assert_close(encoder.embed_images([picture]), image_1D)
        assert_close(encoder.embed_texts(["ink"]), text_1D)

    def test_a_model_is_frozen_and_in_evaluation_mode(self, encoder: ClipEncoder) -> None:
        assert not encoder.model.training
        assert not any(parameter.requires_grad for parameter in encoder.model.parameters())

    def test_a_published_tag_brings_its_own_preparation(
        self, folder: Path, encoder: ClipEncoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tag = {"file": str(folder / "open_clip_model.safetensors"), **PREPROCESS}
        monkeypatch.setitem(factory._MODEL_CONFIGS, "small", CONFIG)
        monkeypatch.setitem(pretrained._PRETRAINED, "small", {"seeded": tag})
        published = open_clip_model("small/seeded")
        assert published.preprocessing == encoder.preprocessing
        assert published.name == "small/seeded"
        assert_close(published.embed_images([noise(50, 40)]), encoder.embed_images([noise(50, 40)]))

    def test_weights_of_a_published_tag_are_never_unpickled(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        canary = tmp_path / "canary"
        (tmp_path / "model.bin").write_bytes(pickle.dumps(Touch(canary), protocol=2))
        monkeypatch.setitem(factory._MODEL_CONFIGS, "small", CONFIG)
        monkeypatch.setitem(pretrained._PRETRAINED, "small", {"hostile": {"file": str(tmp_path / "model.bin")}})
        with pytest.raises(RequestError, match="cannot be opened"):
            open_clip_model("small/hostile")
        assert not canary.exists()

    def test_a_name_is_the_same_wherever_the_folder_is(self, encoder: ClipEncoder, tmp_path: Path) -> None:
        elsewhere = save_small_clip(tmp_path / "small")
        assert encoder.name == open_clip_model(f"local-dir:{elsewhere}").name
        assert encoder.name.startswith("local-dir:small@")

    def test_the_digest_follows_the_weights_and_the_preparation(self, folder: Path, tmp_path: Path) -> None:
        same, other = save_small_clip(tmp_path / "same"), save_small_clip(tmp_path / "other")
        change_config(other, preprocess_cfg=PREPROCESS | {"resize_mode": "shortest"})
        digests = [digest(f"local-dir:{path}") for path in (folder, same, other)]
        assert digests[0] == digests[1] != digests[2]


class Touch:
    """An object whose unpickling creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


class TestRefusing:
    @pytest.mark.parametrize(
        ("reference", "says"),
        [
            ("ViT-B-33/openai", r"no model ViT-B-33 \(near it: ViT-B-32"),
            ("ViT-B-32/laion2b_s34b_b79", r"near it: laion2b_s34b_b79k"),
            ("ViT-B-32", r"write ViT-B-32/TAG, where TAG is one of: .*laion2b_s34b_b79k"),
            ("ViT-B-32/openai", "write ViT-B-32-quickgelu/openai"),
            ("embedded:clip-huge", "carries no embedded:clip-huge"),
            ("hf-hub:some/model", "write NAME/TAG"),
            ("/models/clip/open_clip_model.safetensors", "write local-dir:FOLDER"),
            ("clip.pt", "write local-dir:FOLDER"),
            ("local-dir:/nowhere", "no folder /nowhere"),
        ],
    )
    def test_a_reference_that_names_nothing_says_what_to_write(self, reference: str, says: str) -> None:
        with pytest.raises(RequestError, match=says):
            open_clip_model(reference)

    def test_a_folder_without_weights(self, tmp_path: Path) -> None:
        (save_small_clip(tmp_path / "m") / "open_clip_model.safetensors").unlink()
        with pytest.raises(RequestError, match="random weights"):
            open_clip_model(f"local-dir:{tmp_path / 'm'}")

    def test_a_folder_with_pickled_weights_alone(self, tmp_path: Path) -> None:
        (save_small_clip(tmp_path / "m") / "open_clip_model.safetensors").unlink()
        torch.save(seeded_model().state_dict(), tmp_path / "m" / "open_clip_pytorch_model.bin")
        with pytest.raises(RequestError, match=r"no open_clip_model\.safetensors"):
            open_clip_model(f"local-dir:{tmp_path / 'm'}")

    def test_a_folder_that_does_not_say_how_pictures_are_prepared(self, tmp_path: Path) -> None:
        folder = change_config(save_small_clip(tmp_path / "m"), preprocess_cfg=None)
        with pytest.raises(RequestError, match="needs model_cfg and preprocess_cfg"):
            open_clip_model(f"local-dir:{folder}")

    def test_a_folder_that_asks_to_run_code(self, tmp_path: Path) -> None:
        text = CONFIG["text_cfg"] | {"hf_tokenizer_name": "x", "tokenizer_kwargs": {"trust_remote_code": True}}
        folder = change_config(save_small_clip(tmp_path / "m"), model_cfg=CONFIG | {"text_cfg": text})
        with pytest.raises(RequestError, match="trust_remote_code"):
            open_clip_model(f"local-dir:{folder}")

    def test_weights_of_another_architecture(self, tmp_path: Path) -> None:
        folder = change_config(save_small_clip(tmp_path / "m"), model_cfg=CONFIG | {"embed_dim": 16})
        with pytest.raises(RequestError, match="cannot be opened as a CLIP model"):
            open_clip_model(f"local-dir:{folder}")

    def test_half_a_weights_file(self, tmp_path: Path) -> None:
        weights = save_small_clip(tmp_path / "m") / "open_clip_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:5000])
        with pytest.raises(RequestError, match="cannot be opened as a CLIP model"):
            open_clip_model(f"local-dir:{tmp_path / 'm'}")

    def test_every_published_model_that_needs_quick_gelu_has_the_name_that_is_advised(self) -> None:
        pairs = open_clip.list_pretrained()
        wrong = [
            (name, tag)
            for name, tag in pairs
            if pretrained.get_pretrained_cfg(name, tag).get("quick_gelu")
            and not open_clip.get_model_config(name).get("quick_gelu")
        ]
        assert wrong
        assert {(f"{name}-quickgelu", tag) for name, tag in wrong} <= set(pairs)


class TestEmbedding:
    def test_embeddings_have_unit_length(self, encoder: ClipEncoder) -> None:
        embeddings = torch.cat([encoder.embed_images([noise(30, 20)]), encoder.embed_texts(["ink", ""])])
        assert embeddings.dtype == torch.float32
        assert_close(embeddings.norm(dim=1), torch.ones(3))

    def test_a_batch_of_mixed_sizes_equals_its_images_one_by_one(self, encoder: ClipEncoder) -> None:
        pictures = [noise(20 + 7 * (i % 3), 30 + i % 2, seed=i) for i in range(BATCH + 6)]
        one_by_one = torch.cat([encoder.embed_images([picture]) for picture in pictures])
        assert_close(encoder.embed_images(pictures), one_by_one, atol=1e-5, rtol=0)

    def test_a_batch_of_texts_equals_its_texts_one_by_one(self, encoder: ClipEncoder) -> None:
        texts = [f"painting {i}" for i in range(BATCH + 6)]
        one_by_one = torch.cat([encoder.embed_texts([text]) for text in texts])
        assert_close(encoder.embed_texts(texts), one_by_one, atol=1e-5, rtol=0)

    def test_arrays_bytes_and_floats_of_one_picture_embed_alike(self, encoder: ClipEncoder) -> None:
        array = noise(40, 30)
        bytes_1CHW = torch.tensor(array).permute(2, 0, 1)[None]
        expected = encoder.embed_images([array])
        assert_close(encoder.embed_images(bytes_1CHW), expected, atol=0, rtol=0)
        assert_close(encoder.embed_images(bytes_1CHW.float() / 255), expected, atol=0, rtol=0)

    def test_nothing_embeds_to_nothing(self, encoder: ClipEncoder) -> None:
        assert encoder.embed_images([]).shape == encoder.embed_texts([]).shape == (0, 32)

    def test_gradients_pass_to_prepared_inputs(self, encoder: ClipEncoder) -> None:
        inputs = torch.rand(1, 3, 48, 48, requires_grad=True)
        encoder.embed_inputs(inputs)[0, 0].backward()
        assert inputs.grad is not None
        assert inputs.grad.abs().sum() > 0
