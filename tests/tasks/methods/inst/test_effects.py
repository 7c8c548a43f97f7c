"""That a word carries its painting: on a small diffusion model that `atelier train diffusion` made (trained/card.json).

It knows palettes and textures at 64 pixels, and no motifs. What Stable Diffusion does with a word is not shown here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tasks.encoders.clip import open_clip_model
from tasks.methods.base import Pairs, Reference, Representation, Style
from tasks.methods.clipstyler.extractors import open_extractor
from tasks.methods.clipstyler.settings import OptimizeSettings
from tasks.methods.inst.settings import InversionSettings
from tasks.methods.inst.words import WordMethod
from tasks.methods.settings import open_method
from tasks.methods.text_pictures import squares
from tasks.samples.photographs import neutral_photographs
from tasks.samples.styles import style_pictures
from tasks.scores.arrival import measure_arrival
from tasks.scores.clip import ClipScorer
from tasks.training.diffusion_text import make_tokenizer, open_text_tower
from tasks.training.figures import Figures, judge_pairs

SIDE, CONTENTS = 64, 6
PAINTINGS = ("night", "wave", "glass", "dots")
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
NO_WORD = Style("no word", (Reference(text=""),))
CPU = torch.device("cpu")
Open = Callable[..., WordMethod]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained U-Net and VAE beside the text tower of the embedded CLIP, which they were trained with."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    shutil.copytree(Path(__file__).parent / "trained", folder)
    tower = open_text_tower("embedded:clip-small")
    tower.save_pretrained(folder / "text_encoder")
    make_tokenizer(tower.config.max_position_embeddings).save_pretrained(folder / "tokenizer")
    return folder


@pytest.fixture(scope="module")
def open_at(trained: Path) -> Open:
    def open_with(strength: float, guidance: float = 5.0) -> WordMethod:
        few = {"updates": 150, "learning_rate": 1e-3, "steps": 12, "guidance": guidance, "paintings_at_once": 4}
        settings = InversionSettings(
            weights=f"local-dir:{trained}", clip="embedded:clip-small", size=SIDE, strength=strength, **few
        )
        method = open_method(settings)
        assert isinstance(method, WordMethod)
        return method

    return open_with


@pytest.fixture(scope="module")
def contents() -> Tensor:
    return squares(neutral_photographs()[:CONTENTS], SIDE)


@pytest.fixture(scope="module")
def paintings() -> Tensor:
    return squares(list(style_pictures(PAINTINGS).values()), SIDE)


@pytest.fixture(scope="module")
def inverted(open_at: Open, paintings: Tensor) -> list[Representation]:
    torch.set_num_threads(1)
    return open_at(0.6).invert([Style("s", (Reference(1.0, one),)) for one in paintings])


@pytest.fixture(scope="module")
def words(open_at: Open, paintings: Tensor, inverted: list[Representation]) -> list[Representation]:
    """Of each painting; and none."""
    method = open_at(0.6)
    styles = [Style("s", (Reference(1.0, one),)) for one in paintings]
    return [*method.represent_inverted(styles, [[one] for one in inverted]), *method.represent([NO_WORD])]


def paint(method: WordMethod, contents: Tensor, words: list[Representation], told: list[int]) -> Tensor:
    """Every content with those words, content by content; the noise of a content is the same with every word."""
    pairs = [(row, word) for row in range(len(contents)) for word in told]
    rows, chosen = [row for row, _ in pairs], [word for _, word in pairs]
    return method.render(method.encode(contents), words, Pairs(rows, chosen, rows))


def judge(contents: Tensor, paintings: Tensor, outputs: Tensor) -> Figures:
    """Of outputs, as `paint` orders them, against each painting in turn."""
    extractor = open_extractor(OptimizeSettings(mode="optimize"), CPU)
    styles, before = paintings.repeat(len(contents), 1, 1, 1), contents.repeat_interleave(len(paintings), 0)
    with torch.inference_mode():
        return judge_pairs(before, styles, lambda images: list(extractor(images).values()), outputs)


def test_the_inversion_lowers_the_loss(inverted: list[Representation]) -> None:
    for one in inverted:
        losses = json.loads(one.metadata["losses"])
        assert losses[-1] < losses[0]


def test_a_word_moves_pictures_towards_its_own_painting(
    open_at: Open, contents: Tensor, paintings: Tensor, words: list[Representation]
) -> None:
    told = {"own": [0, 1, 2, 3], "others'": [1, 2, 3, 0], "none": [4, 4, 4, 4]}
    distances = {
        name: judge(contents, paintings, paint(open_at(0.6), contents, words, which)).style_distance
        for name, which in told.items()
    }
    assert distances["own"] < 0.9 * distances["none"]
    assert distances["own"] < 0.9 * distances["others'"]


def test_the_judge_finds_the_painting_that_was_meant(
    open_at: Open, contents: Tensor, paintings: Tensor, words: list[Representation]
) -> None:
    scorer = ClipScorer(open_clip_model("embedded:clip-judge-small"), neutral_photographs())
    targets = scorer.prepare([Style("s", (Reference(1.0, one),)) for one in paintings])
    outputs = paint(open_at(0.8), contents, words, [0, 1, 2, 3])
    contents_PD = scorer.embed_contents(contents).repeat_interleave(len(paintings), 0)
    cosines_SP = scorer.compare_directions(outputs, contents_PD, targets)
    first = measure_arrival(cosines_SP, [0, 1, 2, 3] * len(contents)).first_S
    assert first.mean() > 0.5, "twice what chance would find"


def test_strength_trades_the_content_for_the_painting(
    open_at: Open, contents: Tensor, paintings: Tensor, words: list[Representation]
) -> None:
    """Without guidance, which at the largest strengths leads this small model past the painting."""
    figures = [
        judge(contents, paintings, paint(open_at(strength, guidance=1.0), contents, words, [0, 1, 2, 3]))
        for strength in STRENGTHS
    ]
    distances, kept = [one.style_distance for one in figures], [one.structure for one in figures]
    assert distances == sorted(distances, reverse=True)
    assert kept == sorted(kept, reverse=True)
