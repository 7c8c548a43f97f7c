"""InST's `embeddings.pt`, imported: its tensors, its card, and what is said of it."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from tasks.methods.inst.attention import OfficialAttention
from tasks.records import RequestError
from tasks.weights.embeddings import MAX_BYTES, name_globals
from tasks.weights.importing import import_embeddings, import_weights
from tasks.weights.loading import load_tensors
from tests.tasks.weights.embedding_files import make_attention, replace, rewrite, write_embeddings
from tests.tasks.weights.snapshot_files import write_snapshot


def check_equal(path: Path, expected: dict[str, Tensor]) -> None:
    """Check that an import gives exactly these tensors."""
    read = load_tensors(import_weights(path).weights)
    assert read.keys() == expected.keys()
    for name, tensor in expected.items():
        assert read[name].dtype == torch.float32
        assert torch.equal(read[name], tensor.float()), name


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_attention_is_written_with_the_authors_names(scratch: Path, protocol: int, kind: torch.dtype) -> None:
    attention = make_attention().to(kind)
    check_equal(write_embeddings(scratch / "embeddings.pt", protocol, attention=attention), attention.state_dict())


def test_the_authors_full_size_loads_where_it_is_used(scratch: Path) -> None:
    attention, ours = make_attention(768, 512), OfficialAttention(768, dropout=0.05)
    path = write_embeddings(scratch / "embeddings.pt", attention=attention)
    check_equal(path, attention.state_dict())
    ours.load_state_dict(load_tensors(scratch / "embeddings.safetensors"))
    assert 4 * sum(tensor.numel() for tensor in ours.parameters()) < MAX_BYTES / 5


def test_a_file_of_torch_1_on_a_gpu_is_read(scratch: Path) -> None:
    attention = make_attention()
    for module in attention.modules():  # torch 2.5 made plain dictionaries of them
        for part in ("_parameters", "_buffers", "_modules"):
            module.__dict__[part] = OrderedDict(module.__dict__[part])
    path = write_embeddings(scratch / "embeddings.pt", attention=attention)
    replace(path, b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")

    def to_old(entries: dict[str, bytes]) -> None:
        for name in ("byteorder", ".format_version", ".storage_alignment", ".data/serialization_id"):
            del entries[name]

    check_equal(rewrite(path, to_old), attention.state_dict())


def test_tensors_that_share_their_numbers_are_told_apart(scratch: Path) -> None:
    attention = make_attention()
    numbers = torch.arange(40.0)
    attention.net[1].weight = torch.nn.Parameter(numbers[3:28].reshape(5, 5).T)
    attention.net[1].bias = torch.nn.Parameter(numbers[1:10:2])
    check_equal(write_embeddings(scratch / "embeddings.pt", attention=attention), attention.state_dict())


def test_a_card_says_what_was_imported_and_from_where(scratch: Path) -> None:
    done = import_weights(write_embeddings(scratch / "embeddings.pt"))
    assert done.weights == scratch / "embeddings.safetensors"
    card = json.loads(done.card.read_text())
    with safe_open(done.weights, "pt") as file:
        metadata = file.metadata()
    assert card == done.facts
    assert metadata == {
        "imported_by": card["imported_by"],
        "source": f"embeddings.pt, SHA-256 {card['source']['sha256']}",
    }
    assert (card["name"], card["tensors"], card["parameters"], card["width"]) == ("embeddings", 12, 160, 5)
    assert card["bytes"] == done.weights.stat().st_size
    assert card["licence"].startswith("weights: see what their author states")


def test_the_same_file_gives_the_same_bytes_and_another_is_not_written_over(scratch: Path) -> None:
    path = write_embeddings(scratch / "embeddings.pt")
    first, second = import_weights(path), import_embeddings(path, scratch / "new" / "embeddings.safetensors")
    assert first.weights.read_bytes() == second.weights.read_bytes()
    assert first.card.read_bytes() == second.card.read_bytes()
    other = write_embeddings(scratch / "other.pt", attention=make_attention(6))
    with pytest.raises(RequestError, match="is already there, and is something else"):
        import_weights(other, first.weights)


def test_what_a_file_is_shows_inside_it_whatever_its_name(scratch: Path) -> None:
    assert import_weights(write_snapshot(scratch / "a.pt")).kind == "generator"
    assert import_weights(write_embeddings(scratch / "b.pkl")).kind == "attention"
    for path in (scratch / "none.pt", scratch):
        with pytest.raises(RequestError, match="There is no file at"):
            import_weights(path)


def test_globals_are_listed_with_those_that_are_not_allowed(scratch: Path) -> None:
    path, evil = scratch / "embeddings.pt", f"{os.system.__module__}.system"
    found = name_globals(write_embeddings(path, extra=os.system))
    assert {name for name, allowed in found.items() if not allowed} == {evil}
    assert found["ldm.modules.embedding_manager.Attentions"]
    assert found["torch.FloatStorage"]
    assert all(name_globals(write_embeddings(path)).values())


def test_embeddings_named_as_weights_are_to_be_imported_first(scratch: Path) -> None:
    path = write_embeddings(scratch / "embeddings.pt")
    with pytest.raises(RequestError, match=r"embeddings\.pt is refused.*run `atelier models import .*embeddings\.pt`"):
        load_tensors(path)
