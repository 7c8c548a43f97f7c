"""Variants that learn a painting as a word, and read prompts that have it.

Dimension key: P outputs (pairs), R paintings of a style, T tokens of a prompt, K words of a painting, W their width, C
channels of a latent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from tasks.encoders.clip import open_clip_model
from tasks.encoders.diffusion.backbone import Diffusion
from tasks.encoders.diffusion.prompts import MARK
from tasks.methods.base import Representation, Style
from tasks.methods.inst.attention import OfficialAttention
from tasks.methods.inst.inversion import Inverter, Word
from tasks.methods.inst.painter import Painter, join_apart
from tasks.methods.inst.sampling import Conditions
from tasks.methods.inst.settings import InversionSettings
from tasks.methods.inst.spoken import speak, split_references, tell
from tasks.methods.inst.tones import Tones, keep_tones, measure_tones, mix_tones, read_tones
from tasks.records import RequestError
from tasks.weights.loading import layout_of, load_tensors, match_layout
from tasks.weights.references import resolve

# The one tensor of an inverted painting, under a name that no tokenizer has: diffusers' `load_textual_inversion` takes
# the stored file as it is.
WORD = "<painting>"
NO_WORD = "text"  # the tensor of a text, which is read as it is: a file without tensors is none


class WordMethod(Painter):
    """`variant: patch` and `official`. `invert` is slow, once a painting; weights and prompts invert nothing anew."""

    def __init__(self, settings: InversionSettings, diffusion: Diffusion) -> None:
        super().__init__(settings, diffusion)
        self.words = settings

    def invert(self, styles: Sequence[Style]) -> list[Representation]:
        """Of each style, one reference alone: a painting's word, KW, under WORD, and its tones; of a text NO_WORD."""
        paintings = {
            place: reference.image_CHW
            for place, style in enumerate(styles)
            for reference in style.references
            if reference.image_CHW is not None
        }
        learned = dict(zip(paintings, self._learn(list(paintings.values()), styles), strict=True))
        return [
            _keep(learned[place], measure_tones(paintings[place], self.diffusion, self.words.size))
            if place in paintings
            else Representation({NO_WORD: torch.zeros(1)})
            for place in range(len(styles))
        ]

    def represent(self, styles: Sequence[Style]) -> list[Representation]:
        """`invert`, of each reference alone, and `represent_inverted`."""
        inverted = iter(self.invert([part for style in styles for part in style.parts(apart=True)]))
        return self.represent_inverted(styles, [[next(inverted) for _ in style.references] for style in styles])

    def represent_inverted(
        self, styles: Sequence[Style], inverted: Sequence[Sequence[Representation]]
    ) -> list[Representation]:
        """`word` (KW), the paintings' by weight, where there are any; their tones, and the texts, as metadata."""
        return [self._represent(style, parts) for style, parts in zip(styles, inverted, strict=True)]

    def conditions(self, reps: Sequence[Representation], prompts: Sequence[str | None]) -> Conditions:
        """By weight: the paintings' prompt with their word in it, and each text."""
        distinct = list(dict.fromkeys(zip(map(id, reps), prompts, strict=True)))
        by_id = {id(rep): rep for rep in reps}
        told = {key: self._tell(by_id[key[0]], key[1]) for key in distinct}
        wanted_PTW = torch.stack([told[key] for key in zip(map(id, reps), prompts, strict=True)])
        return Conditions(wanted_PTW, self._unwanted_1TW.expand_as(wanted_PTW))

    @cached_property
    def _inverter(self) -> Inverter:
        """Opened where there is something to learn."""
        return Inverter(self.diffusion, open_clip_model(self.words.clip, str(self.diffusion.device)), self.words)

    @cached_property
    def _attention(self) -> OfficialAttention:
        """The authors', learned before."""
        assert self.words.attention is not None
        return read_attention(self.words.attention, self.diffusion.width).to(self.diffusion.device)

    def _learn(self, pictures: Sequence[Tensor], styles: Sequence[Style]) -> list[Word]:
        if self.words.attention is not None:
            return [self._inverter.read(self._attention, picture_3HW) for picture_3HW in pictures]
        if self.words.embedding is not None:
            return [read_word(self.words.embedding, self.diffusion.width)] * len(pictures)
        return self._inverter.learn(pictures, styles[0].name[:40]) if pictures else []

    def _represent(self, style: Style, parts: Sequence[Representation]) -> Representation:
        if style.composite:
            alone = zip(style.parts(), parts, strict=True)
            mixed = self._represent(replace(style, composite=False), parts)
            return join_apart(mixed, [self._represent(one, [part]) for one, part in alone])
        paintings, texts = split_references(style)
        self._check(style, len(paintings), [text for _, text in texts])
        metadata = {"texts": json.dumps(texts)}
        if not paintings:
            return Representation({"weight": torch.zeros(1)}, metadata)
        weights_R, chosen = torch.tensor(list(paintings.values())), [parts[place] for place in paintings]
        own_R = weights_R / weights_R.sum()
        words_RKW = torch.stack([part.tensors[WORD] for part in chosen])
        word_KW = torch.tensordot(own_R, words_RKW, 1)
        tones = [tone for part in chosen if (tone := read_tones(part.metadata)) is not None]
        tensors = {"word": word_KW, "weight": weights_R.sum()[None]}
        return Representation(tensors, metadata | keep_tones(mix_tones(tones, own_R)))

    def _check(self, style: Style, paintings: int, texts: Sequence[str]) -> None:
        if self.words.embedding is not None and paintings > 1:
            raise RequestError(
                f"The style {style.name} has {paintings} paintings, and one `embedding`: name one painting."
            )
        marked = next((text for text in texts if MARK in text), None)
        if marked is not None and not paintings:
            raise RequestError(
                f"The text {marked!r} of the style {style.name} has a {MARK} and no painting to stand there: add a "
                "reference with an image."
            )

    def _tell(self, rep: Representation, prompt: str | None) -> Tensor:
        """Condition_TW of a style, for contents that are pictures (None) or this prompt."""
        word_KW = rep.tensors.get("word")
        weight = 0.0 if word_KW is None else float(rep.tensors["weight"])
        spoken = speak(weight, json.loads(rep.metadata["texts"]), self.words.prompt, prompt)
        return tell(self.diffusion, spoken, word_KW)


def read_attention(reference: str, width: int) -> OfficialAttention:
    """The authors' module, of safetensors with its twelve tensors. Raises RequestError."""
    attention = OfficialAttention(width, dropout=0.0)
    tensors = load_tensors(resolve(reference))
    match_layout(tensors, layout_of(attention.state_dict()), f"an attention for words {width} wide")
    attention.load_state_dict(tensors)
    return attention.eval().requires_grad_(False)


def read_word(reference: str, width: int) -> Word:
    """A word that was learned before, of safetensors with one tensor, [W] or [K, W]. Raises RequestError."""
    tensors = load_tensors(resolve(reference))
    found = list(tensors.values())
    if len(found) != 1 or found[0].ndim not in (1, 2) or found[0].shape[-1] != width:
        raise RequestError(f"{reference} is no word of this model: it needs one tensor, of words {width} wide.")
    return Word(found[0].reshape(-1, width).float())


def _keep(word: Word, tones: Tones) -> Representation:
    facts = {"losses": word.losses, "updates": word.updates}
    return Representation(
        {WORD: word.vectors_KW}, {name: json.dumps(value) for name, value in facts.items()} | keep_tones(tones)
    )
