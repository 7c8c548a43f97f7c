"""Paintings become words: alone or together, in one go or after a death, and as others can read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.testing import assert_close

from tasks.encoders.clip import open_clip_model
from tasks.encoders.diffusion.backbone import Diffusion
from tasks.encoders.diffusion.prompts import encode_prompts, tokenize
from tasks.methods.base import Reference, Style
from tasks.methods.inst.attention import OfficialAttention, PatchAttention, SeededDropout, set_generator
from tasks.methods.inst.inversion import Inverter
from tasks.methods.inst.latents import squash
from tasks.methods.inst.paintings import darken, see
from tasks.methods.inst.settings import InversionSettings
from tasks.methods.inst.words import WORD, WordMethod
from tasks.records import RequestError
from tasks.store import RepresentationStore
from tests.tasks.methods.conftest import picture, stripes, style
from tests.tasks.methods.inst.conftest import Open

PAINTINGS = [picture(48, 64, seed=1)[0], stripes(56, 40), picture(33, 70, seed=3)[0]]


def open_inverter(method: WordMethod, settings: InversionSettings) -> Inverter:
    return Inverter(method.diffusion, open_clip_model(settings.clip), settings)


def words(inverter: Inverter, pictures: list[Tensor]) -> list[Tensor]:
    return [word.vectors_KW for word in inverter.learn(pictures)]


def test_the_loss_falls(open_words: Open) -> None:
    (rep,) = open_words(updates=150, learning_rate=1e-3).invert([style(PAINTINGS[0])])
    losses = json.loads(rep.metadata["losses"])
    assert losses[-1] < losses[0]
    assert json.loads(rep.metadata["updates"]) == 150


def test_paintings_learn_the_same_beside_others(open_words: Open) -> None:
    settings = {"updates": 4, "dropout": 0.3}
    together = open_words(paintings_at_once=3, **settings).invert([style(one) for one in PAINTINGS])
    for rep, painting in zip(together, PAINTINGS, strict=True):
        (alone,) = open_words(**settings).invert([style(painting)])
        assert_close(rep.tensors[WORD], alone.tensors[WORD], atol=1e-5, rtol=1e-4)


def test_a_painting_is_learned_once_whatever_it_is_mixed_with(open_words: Open) -> None:
    method = open_words()
    mixed = style(*PAINTINGS[:2], weights=(1.0, 3.0))
    inverted = method.invert(mixed.parts(apart=True))
    (again,) = method.represent_inverted([mixed], [inverted])
    assert_close(again.tensors["word"], method.represent([mixed])[0].tensors["word"])


class TestCheckpoints:
    def test_after_a_death_training_goes_on_to_the_same_word(
        self, open_words: Open, make_settings: type[InversionSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tasks.methods.inst.inversion.KEEP_EVERY", 3)
        method, folder = open_words(), tmp_path / "kept"
        whole = words(open_inverter(method, make_settings(updates=8)), PAINTINGS[:1])
        settings = make_settings(updates=8, checkpoints=str(folder))
        dying = open_inverter(method, settings)
        step = dying._step
        with monkeypatch.context() as patch:
            patch.setattr(dying, "_step", lambda lessons, update: step(lessons, update) if update < 7 else 1 / 0)
            with pytest.raises(ZeroDivisionError):
                dying.learn(PAINTINGS[:1])
        (kept,) = folder.iterdir()
        assert kept.suffix == ".safetensors"
        resumed = open_inverter(method, settings)
        steps: list[int] = []
        monkeypatch.setattr(
            resumed, "_step", lambda lessons, update: (steps.append(update), Inverter._step(resumed, lessons, update))
        )
        assert_close(words(resumed, PAINTINGS[:1]), whole, atol=1e-6, rtol=1e-5)
        assert steps == [6, 7]
        assert_close(words(resumed, PAINTINGS[:1]), whole, atol=1e-6, rtol=1e-5)
        assert steps == [6, 7], "a word that was not stored in the end is there at once"

    def test_a_damaged_one_is_named(
        self, open_words: Open, make_settings: type[InversionSettings], tmp_path: Path
    ) -> None:
        settings = make_settings(updates=1, checkpoints=str(tmp_path))
        inverter = open_inverter(open_words(), settings)
        lesson = inverter._begin(PAINTINGS[0])
        (tmp_path / f"{lesson.key}.safetensors").write_bytes(b"half")
        with pytest.raises(RequestError, match="damaged: delete it"):
            inverter.learn(PAINTINGS[:1])


def test_training_stops_where_nothing_is_gained(
    open_words: Open, make_settings: type[InversionSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.methods.inst.inversion.LOOK_EVERY", 1)
    inverter = open_inverter(open_words(), make_settings(updates=200, learning_rate=1.0, patience=3))
    (word,) = inverter.learn(PAINTINGS[:1])
    assert 3 <= word.updates < 200


class TestOthersReadIt:
    def test_diffusers_loads_the_stored_file_as_it_is(self, open_words: Open, model: Path, tmp_path: Path) -> None:
        method, store = open_words(), RepresentationStore(str(tmp_path))
        (rep,) = method.invert([style(PAINTINGS[0])])
        store.put("inst-words", "key", rep)
        (file,) = tmp_path.rglob("*.safetensors")
        pipeline = StableDiffusionPipeline.from_pretrained(
            model, local_files_only=True, safety_checker=None, requires_safety_checker=False
        )
        pipeline.load_textual_inversion(str(file))
        theirs, _ = pipeline.encode_prompt(f"a cat by {WORD}", "cpu", 1, False)
        ours = encode_prompts(method.diffusion, ["a cat by [C]"], [rep.tensors[WORD]])
        assert_close(ours, theirs, atol=1e-6, rtol=0)

    def test_a_word_of_others_is_not_trained(self, open_words: Open, tmp_path: Path) -> None:
        learned = torch.randn(2, 32)
        save_file({"<theirs>": learned}, tmp_path / "learned_embeds.safetensors")
        method = open_words(embedding=str(tmp_path / "learned_embeds.safetensors"))
        (rep,) = method.represent([style(PAINTINGS[0])])
        assert torch.equal(rep.tensors["word"], learned)
        with pytest.raises(RequestError, match="2 paintings, and one `embedding`"):
            method.represent([style(*PAINTINGS[:2])])

    def test_a_word_of_another_model_is_refused(self, open_words: Open, tmp_path: Path) -> None:
        save_file({"<theirs>": torch.randn(1, 768)}, tmp_path / "word.safetensors")
        with pytest.raises(RequestError, match="32 wide"):
            open_words(embedding=str(tmp_path / "word.safetensors")).represent([style(PAINTINGS[0])])


class TestOfficial:
    def test_it_learns_what_one_token_can(self, open_words: Open) -> None:
        (rep,) = open_words(variant="official").represent([style(PAINTINGS[0])])
        assert rep.tensors["word"].shape == (1, 32)

    def test_its_clip_has_to_be_as_wide_as_words_are(self, open_words: Open) -> None:
        method = open_words(variant="official", clip="embedded:clip-small")
        with pytest.raises(RequestError, match=r"\(32\).*clip-small has 160.*variant: patch"):
            method.represent([style(PAINTINGS[0])])

    def test_an_attention_that_was_learned_before_makes_words_untrained(
        self, open_words: Open, make_settings: type[InversionSettings], tmp_path: Path
    ) -> None:
        attention = OfficialAttention(32, dropout=0.05).eval()
        save_file(attention.state_dict(), tmp_path / "embeddings.safetensors")
        method = open_words(variant="official", attention=str(tmp_path / "embeddings.safetensors"))
        (rep,) = method.represent([style(PAINTINGS[0])])
        square = darken(squash(PAINTINGS[0], 64))
        pooled, tokens = see(open_clip_model(make_settings().clip), square)
        assert_close(rep.tensors["word"], attention(pooled, tokens).detach())

    def test_an_attention_of_another_shape_is_refused(self, open_words: Open, tmp_path: Path) -> None:
        save_file(OfficialAttention(64, dropout=0.0).state_dict(), tmp_path / "embeddings.safetensors")
        method = open_words(variant="official", attention=str(tmp_path / "embeddings.safetensors"))
        with pytest.raises(RequestError, match="for words 32 wide"):
            method.represent([style(PAINTINGS[0])])

    def test_it_goes_with_the_authors_shapes_alone(self, make_settings: type[InversionSettings]) -> None:
        with pytest.raises(ValueError, match="write variant: official"):
            make_settings(attention="embeddings.safetensors")

    def test_clip_is_shown_what_the_authors_showed_it(self) -> None:
        shown = darken(torch.tensor([0.0, 0.2, 0.9, 1.0]))
        assert (shown * 255).tolist() == [255, 0, 0, 1]


class TestAttention:
    def test_dropout_draws_from_its_own_generator(self) -> None:
        attention = PatchAttention(8, 12, 16, layers=2, dropout=0.5).train()
        assert sum(isinstance(module, SeededDropout) for module in attention.modules()) == 3
        inputs = (torch.randn(1, 8), torch.randn(1, 5, 12))
        found = []
        for seed in (1, 1, 2):
            set_generator(attention, torch.Generator().manual_seed(seed))
            found.append(attention(*inputs))
        assert torch.equal(found[0], found[1])
        assert not torch.equal(found[0], found[2])

    def test_in_evaluation_nothing_is_dropped(self) -> None:
        attention = PatchAttention(8, 12, 16, layers=1, dropout=0.5).eval()
        set_generator(attention, torch.Generator().manual_seed(1))
        inputs = (torch.randn(1, 8), torch.randn(1, 5, 12))
        assert torch.equal(attention(*inputs), attention(*inputs))

    @pytest.mark.parametrize("reference", ["embedded:clip-small", "embedded:clip-judge-small"])
    def test_clips_of_both_kinds_show_places(self, reference: str) -> None:
        encoder = open_clip_model(reference)
        images = picture(64, 64, seed=1, count=2)
        pooled, tokens = see(encoder, images)
        assert_close(pooled, encoder.embed_images(images), atol=1e-5, rtol=0)
        assert tokens.shape[0] == 2
        assert tokens.shape[1] > 4


class TestPrompts:
    @pytest.fixture
    def diffusion(self, open_words: Open) -> Diffusion:
        return open_words().diffusion

    def test_without_a_mark_they_are_the_tokenizers_own(self, diffusion: Diffusion) -> None:
        theirs = diffusion.tokenizer("a cat, and a dog", padding="max_length").input_ids
        assert tokenize(diffusion, "a cat, and a dog", 0) == (theirs, [])

    def test_a_long_one_loses_words_at_its_end_and_no_mark(self, diffusion: Diffusion) -> None:
        ids, places = tokenize(diffusion, "a" * 100 + " [C]", 2)
        assert len(ids) == diffusion.text_encoder.config.max_position_embeddings
        assert places == [len(ids) - 3, len(ids) - 2]

    def test_gradients_pass_to_the_word(self, diffusion: Diffusion) -> None:
        word = torch.randn(1, diffusion.width, requires_grad=True)
        encode_prompts(diffusion, ["a [C] b", "no mark"], [word, None]).square().sum().backward()
        assert word.grad is not None
        assert word.grad.abs().min() > 0

    def test_a_mark_without_a_painting_is_refused(self, open_words: Open) -> None:
        with pytest.raises(RequestError, match="no painting to stand there"):
            open_words().represent([Style("s", (Reference(text="a cat by [C]"),))])


def test_a_representation_holds_one_word_and_no_path(open_words: Open, tmp_path: Path) -> None:
    (rep,) = open_words().represent([style(*PAINTINGS[:2])])
    store = RepresentationStore(str(tmp_path))
    store.put("inst", "key", rep)
    (file,) = tmp_path.rglob("*.safetensors")
    assert {name: list(tensor.shape) for name, tensor in load_file(file).items()} == {"word": [1, 32], "weight": [1]}
