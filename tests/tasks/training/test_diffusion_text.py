"""The text tower and tokenizer of our CLIP in transformers' classes: the same ids, the same tokens."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer

from tasks.encoders.clip import open_clip_model
from tasks.encoders.clip_models import CONFIG, WEIGHTS, find_model
from tasks.records import RequestError
from tasks.training.diffusion_text import make_tokenizer, open_text_tower, tokenize

REFERENCE = "embedded:clip-small"
LENGTH, END = 32, 49_407
TEXTS = [
    "a photo of a goldfish",
    "An oil painting, mostly blue!",
    "hello!!! 123 it's <b>x</b>",
    "naïve café — Ünïcode 你好",
    "",
    "  spaces   here\n tab",
    "don't we'll",
    "emoji 😀, and a_line/b",
    "too long " * 40,
]


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return make_tokenizer(LENGTH)


def own_ids(texts: list[str]) -> Tensor:
    return open_clip.tokenizer.SimpleTokenizer(context_length=LENGTH)(texts)


def upto_end(ids_L: Tensor) -> list[int]:
    numbers = ids_L.tolist()
    return numbers[: numbers.index(END) + 1]


@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_those_of_open_clip(text: str, tokenizer: CLIPTokenizer) -> None:
    ids_L = tokenize(tokenizer, [text])[0]
    assert len(ids_L) == LENGTH
    wanted = upto_end(own_ids([text])[0])
    assert ids_L.tolist() == wanted + [END] * (LENGTH - len(wanted))


def test_ids_stay_when_the_tokenizer_is_saved_with_or_without_the_newer_file(
    tokenizer: CLIPTokenizer, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    tokenizer.backend_tokenizer.model.save(str(tmp_path))
    wanted = tokenize(tokenizer, TEXTS)
    assert torch.equal(tokenize(CLIPTokenizer.from_pretrained(tmp_path), TEXTS), wanted)
    (tmp_path / "tokenizer.json").unlink()
    assert {path.name for path in tmp_path.iterdir()} == {"vocab.json", "merges.txt", "tokenizer_config.json"}
    assert torch.equal(tokenize(CLIPTokenizer.from_pretrained(tmp_path), TEXTS), wanted)


def test_tokens_after_the_last_normalisation_are_those_of_open_clip(tokenizer: CLIPTokenizer) -> None:
    model, seen = open_clip_model(REFERENCE).model, []
    last = model.get_submodule("ln_final")
    handle = last.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.no_grad():
        for ids_NL in (own_ids(TEXTS), tokenize(tokenizer, TEXTS)):
            model.encode_text(ids_NL)  # type: ignore[operator]
            tokens_NLD = open_text_tower(REFERENCE)(ids_NL).last_hidden_state
            assert tokens_NLD.shape == (len(TEXTS), LENGTH, 64)
            assert (tokens_NLD - seen.pop()).abs().max() < 1e-5
    handle.remove()


def test_the_tower_is_frozen() -> None:
    tower: nn.Module = open_text_tower(REFERENCE)
    assert not tower.training
    assert not any(parameter.requires_grad for parameter in tower.parameters())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"hf_model_name": "roberta"}, "another text tower"),
        ({"layers": 4}, "has no tensor 'transformer.resblocks.3"),
        ({"width": 32}, r"has shape \[49408, 64\]"),
    ],
)
def test_another_tower_is_one_sentence(text: dict[str, object], message: str, tmp_path: Path) -> None:
    found = find_model(REFERENCE)
    config = {"model_cfg": {**found.config, "text_cfg": {**found.config["text_cfg"], **text}}}
    (tmp_path / CONFIG).write_text(json.dumps({**config, "preprocess_cfg": found.preprocess}))
    (tmp_path / WEIGHTS).symlink_to(found.weights)
    with pytest.raises(RequestError, match=message):
        open_text_tower(f"local-dir:{tmp_path}")


def test_a_model_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(RequestError, match="embedded:clip-none"):
        open_text_tower("embedded:clip-none")
