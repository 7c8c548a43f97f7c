"""Pictures for texts: what the optimisation reaches, and what a picture depends on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tasks.encoders.clip import ClipEncoder, open_clip_model
from tasks.losses.clip import embed_pixels, text_directions, unit_directions
from tasks.methods.text_pictures import SIDE, paint_texts, squares
from tasks.methods.text_settings import TextSettings
from tasks.samples.photographs import sample_photographs
from tests.tasks.encoders.small_clip import save_small_clip

PHOTOGRAPHS = [pixels_HWC for _, pixels_HWC in sample_photographs(3)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    return open_clip_model(f"local-dir:{save_small_clip(tmp_path_factory.mktemp('clip') / 'small')}")


def tint(contents_NCHW: Tensor, pictures_NCHW: Tensor) -> Tensor:
    """A stylizer that any picture can drive: half the content and half the picture."""
    return (contents_NCHW + pictures_NCHW) / 2


def agreement(encoder: ClipEncoder, picture_3SS: Tensor, text: str) -> float:
    """Mean cosine of what the picture does to the photographs and of where the text lies."""
    contents_NCHW = squares(PHOTOGRAPHS, SIDE)
    outputs_NCHW = tint(contents_NCHW, picture_3SS.expand_as(contents_NCHW))
    moves_ND = unit_directions(embed_pixels(encoder, outputs_NCHW), embed_pixels(encoder, contents_NCHW))
    return float((moves_ND @ text_directions(encoder, [text]).T).mean())


def test_photographs_move_where_the_text_lies(encoder: ClipEncoder) -> None:
    def paint(steps: int) -> Tensor:
        return paint_texts(["black ink"], tint, encoder, PHOTOGRAPHS, TextSettings(steps=steps, starts=4))[0]

    first, last = (agreement(encoder, paint(steps), "black ink") for steps in (1, 30))
    assert last > first + 0.1


def test_a_picture_is_of_its_own_text_and_seed(encoder: ClipEncoder) -> None:
    settings = TextSettings(steps=2, starts=4)
    alone = paint_texts(["gold"], tint, encoder, PHOTOGRAPHS, settings)
    among = paint_texts(["black ink", "gold"], tint, encoder, PHOTOGRAPHS, settings)
    assert_close(among[1], alone[0], atol=1e-3, rtol=0)
    assert (among[0] - among[1]).abs().max() > 0.01
    other = paint_texts(["gold"], tint, encoder, PHOTOGRAPHS, settings.model_copy(update={"seed": 1}))
    assert (other - alone).abs().max() > 0.1


def test_more_starts_begin_nearer(encoder: ClipEncoder) -> None:
    texts = ["gold", "black ink", "a mosaic", "neon", "snow", "rust"]

    def start(starts: int) -> float:
        pictures = paint_texts(texts, tint, encoder, PHOTOGRAPHS, TextSettings(steps=1, starts=starts))
        return sum(agreement(encoder, picture, text) for picture, text in zip(pictures, texts, strict=True))

    assert start(60) > start(1)


def test_pictures_are_in_range(encoder: ClipEncoder) -> None:
    pictures_T3SS = paint_texts(["ink", "gold"], tint, encoder, PHOTOGRAPHS, TextSettings(steps=2, starts=4))
    assert pictures_T3SS.shape == (2, 3, SIDE, SIDE)
    assert 0 <= pictures_T3SS.min() < pictures_T3SS.max() <= 1
    assert torch.isfinite(pictures_T3SS).all()


def test_a_path_of_a_model_is_resolved() -> None:
    def resolve(path: str) -> str:
        return str(Path("/jobs") / path)

    assert TextSettings(clip="local-dir:model").resolve_paths(resolve).clip == "local-dir:/jobs/model"
    assert TextSettings().resolve_paths(resolve) == TextSettings()
