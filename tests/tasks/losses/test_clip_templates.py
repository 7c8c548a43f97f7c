"""A style's words are embedded as the average over the templates."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tasks.encoders.clip import ClipEncoder, open_clip_model
from tasks.losses.clip import text_directions
from tasks.losses.templates import TEMPLATES, average_templates, embed_in_templates
from tests.tasks.encoders.small_clip import save_small_clip

FEW = TEMPLATES[:5]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    return open_clip_model(f"local-dir:{save_small_clip(tmp_path_factory.mktemp('models') / 'small')}")


def test_there_are_79_different_templates_with_one_place_each() -> None:
    assert len(set(TEMPLATES)) == len(TEMPLATES) == 79
    assert all(template.count("{}") == 1 for template in TEMPLATES)


def test_embeddings_are_averaged_before_they_are_brought_to_length_one() -> None:
    embeddings_1TD = torch.tensor([[[3.0, 0.0], [0.0, 1.0]]])
    assert_close(average_templates(embeddings_1TD), torch.tensor([[3.0, 1.0]]) / 10**0.5)


def test_words_alone_embed_as_the_encoder_embeds_them(encoder: ClipEncoder) -> None:
    assert_close(embed_in_templates(encoder, ["ink", "fire"], ["{}"]), encoder.embed_texts(["ink", "fire"]))


def test_a_text_embeds_the_same_whatever_else_is_embedded(encoder: ClipEncoder) -> None:
    together_RD = embed_in_templates(encoder, ["ink", "fire"], FEW)
    assert torch.equal(together_RD[1:], embed_in_templates(encoder, ["fire"], FEW))
    assert_close(together_RD.norm(dim=1), torch.ones(2))


def test_texts_may_hold_braces_and_there_may_be_none(encoder: ClipEncoder) -> None:
    assert embed_in_templates(encoder, ["{ink} {}"], FEW).isfinite().all()
    assert embed_in_templates(encoder, [], FEW).shape == (0, encoder.size)
    assert text_directions(encoder, []).shape == (0, encoder.size)


def test_a_text_has_a_direction_unless_it_is_the_source(encoder: ClipEncoder) -> None:
    directions_RD = text_directions(encoder, ["ink", "a Photo"])
    assert_close(directions_RD.norm(dim=1), torch.tensor([1.0, 0.0]))
