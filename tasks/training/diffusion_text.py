"""The text tower of a CLIP of open_clip as transformers has it, and its tokenizer: what the U-Net attends to.

Dimension key: N texts, L tokens, D width.
"""

from __future__ import annotations

from collections.abc import Mapping

import open_clip
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tasks.encoders.clip_models import find_model
from tasks.encoders.vgg import freeze
from tasks.records import RequestError
from tasks.weights.loading import load_tensors, match_layout

START, END = "<|startoftext|>", "<|endoftext|>"  # open_clip calls them otherwise, and counts them alike: last
NEEDED = {"context_length", "vocab_size", "width", "heads", "layers"}  # of a text tower as OpenAI's
LAYER = {  # of a layer, transformers' names by open_clip's
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def open_text_tower(reference: str) -> CLIPTextModel:
    """The frozen text tower of a CLIP: its `last_hidden_state` NLD is open_clip's tokens after the last normalisation.

    Raises RequestError where the model is not there, or its text tower is not one as OpenAI's.
    """
    found = find_model(reference)
    text = found.config.get("text_cfg", {})
    if set(text) != NEEDED:
        raise RequestError(f"recipe.text: {reference} has another text tower than CLIP's own: name a CLIP.")
    tower = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=text["vocab_size"],
            hidden_size=text["width"],
            intermediate_size=4 * text["width"],
            projection_dim=text["width"],  # there is no projection, but a number has to be said
            num_hidden_layers=text["layers"],
            num_attention_heads=text["heads"],
            max_position_embeddings=text["context_length"],
            hidden_act="quick_gelu" if found.config.get("quick_gelu") else "gelu",
            bos_token_id=text["vocab_size"] - 2,
            eos_token_id=text["vocab_size"] - 1,
            pad_token_id=text["vocab_size"] - 1,
        )
    )
    try:
        tensors = convert_text_tower(load_tensors(found.weights), text["layers"])
    except KeyError as error:
        raise RequestError(f"recipe.text: {reference} has no tensor {error} of the tower that it describes.") from error
    match_layout(tensors, {name: list(value.shape) for name, value in tower.state_dict().items()}, reference)
    tower.load_state_dict(tensors)
    return freeze(tower)


def convert_text_tower(tensors: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """open_clip's tensors of a text tower by transformers' names; its query, key and value are one matrix there."""
    converted = {
        "embeddings.token_embedding.weight": tensors["token_embedding.weight"],
        "embeddings.position_embedding.weight": tensors["positional_embedding"],
    }
    for part in ("weight", "bias"):
        converted[f"final_layer_norm.{part}"] = tensors[f"ln_final.{part}"]
        for layer in range(layers):
            before, after = f"transformer.resblocks.{layer}", f"encoder.layers.{layer}"
            joined = tensors[f"{before}.attn.in_proj_{part}"].chunk(3)
            for name, tensor in zip("qkv", joined, strict=True):
                converted[f"{after}.self_attn.{name}_proj.{part}"] = tensor
            for name, other in LAYER.items():
                converted[f"{after}.{other}.{part}"] = tensors[f"{before}.{name}.{part}"]
    return {name: tensor.clone() for name, tensor in converted.items()}


def make_tokenizer(context_length: int) -> CLIPTokenizer:
    """CLIP's byte-pair tokenizer of the merges that open_clip ships, padded by its end token, as Stable Diffusion pads.

    open_clip pads with token 0, "!", which as a token of its own would be cut out of texts.
    """
    known = open_clip.tokenizer.SimpleTokenizer(context_length=context_length)
    vocabulary = dict(known.encoder)
    for old, new in zip(("<start_of_text>", "<end_of_text>"), (START, END), strict=True):
        vocabulary[new] = vocabulary.pop(old)
    return CLIPTokenizer(vocab=vocabulary, merges=list(known.bpe_ranks), model_max_length=context_length)


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Ids NL, cut and padded to the context length: what diffusers' pipelines give the text tower."""
    ids: Tensor = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
    return ids
