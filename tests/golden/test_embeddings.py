"""A file of InST's with the weights that numbers were recorded with: imported, and used, it gives those numbers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.testing import assert_close

from tasks.methods.inst.words import read_attention
from tasks.weights.importing import import_weights
from tasks.weights.loading import load_tensors
from tests.golden.conftest import Golden
from tests.tasks.weights.embedding_files import make_attention, write_embeddings


@torch.no_grad()
def test_an_imported_attention_gives_the_authors_words(golden: Golden, tmp_path: Path) -> None:
    layout = golden.layout("inst_attention", "attention")
    weights, attention = golden.weights(layout, layout["namespace"]), make_attention(768, 512)
    attention.load_state_dict(weights)
    done = import_weights(write_embeddings(tmp_path / "embeddings.pt", attention=attention))
    read, ours = load_tensors(done.weights), read_attention(str(done.weights), 768)
    assert done.facts["parameters"] == layout["elements"]
    assert read.keys() == layout["tensors"].keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in weights.items())
    tensors = golden.fixture("inst_attention").tensors
    pooled_BD = tensors["image_embedding"][:, 0]
    words_BW = ours(pooled_BD, pooled_BD[:, None])
    assert_close(words_BW[:, None], tensors["attention.single_token_out"], atol=1e-5, rtol=0)
