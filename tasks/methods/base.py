"""The three verbs that every method speaks, and the values that pass between them.

Dimension key: N contents, P outputs (pairs), C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor  # drivers plan and report without it

# Every value of a picture that a method's safety checker withheld: its pair fails.
WITHHELD = float("inf")


@dataclass(frozen=True)
class Reference:
    """One picture (float32 RGB in [0, 1]) or one text that a style is made of, and its weight (> 0).

    References of one `part` belong together: a step of a path between two styles has one part of each.
    """

    weight: float = 1.0
    image_CHW: Tensor | None = None
    text: str | None = None
    part: int = 0


@dataclass(frozen=True)
class Style:
    """A name and its references, loaded; what `represent` reads.

    A composite style's references have regions of their own in each content: what a representation keeps of one must
    not be mixed into another's.
    """

    name: str
    references: tuple[Reference, ...]
    composite: bool = False

    def weights(self) -> list[float]:
        """Weights of the references, summing to 1."""
        total = sum(reference.weight for reference in self.references)
        return [reference.weight / total for reference in self.references]

    def parts(self, apart: bool = False) -> list[Style]:
        """What is a style for itself: each part, in the order of first references; of a composite, each reference.

        So it is `apart`, where a method inverts every reference alone (`Settings.inverts_apart`).

        A method that makes something of all of a style's references together (`InvertingMethod`) does so a part.
        """
        marks = (
            range(len(self.references))
            if self.composite or apart
            else [reference.part for reference in self.references]
        )
        grouped = [
            [reference for reference, mark in zip(self.references, marks, strict=True) if mark == wanted]
            for wanted in dict.fromkeys(marks)
        ]
        return [Style(self.name, tuple(references)) for references in grouped]

    def inverted(self, inverts: Callable[[str | None], bool], apart: bool = False) -> list[Style]:
        """Of each part those references that a method inverts (`Settings.inverts`, of their texts); parts without any
        are left out.
        """
        chosen = [tuple(one for one in part.references if inverts(one.text)) for part in self.parts(apart)]
        return [Style(self.name, references) for references in chosen if references]


@dataclass(frozen=True)
class Representation:
    """What a method computes once from a style: named tensors and text metadata, never a pickled object."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """What a method computes once from a batch of contents: tensors whose first dimension is N.

    `height` and `width` are the images' own, before any padding.
    """

    tensors: Mapping[str, Tensor]
    height: int
    width: int

    def rows(self, index_P: Tensor) -> Content:
        """The rows named by an int64 index, in that order; a row may come more than once. All in order: no copy."""
        count = len(next(iter(self.tensors.values())))
        if index_P.tolist() == list(range(count)):
            return self
        picked = {name: tensor.index_select(0, index_P.to(tensor.device)) for name, tensor in self.tensors.items()}
        return Content(picked, self.height, self.width)


@dataclass(frozen=True)
class Pairs:
    """For each of P outputs: a content row, an index into the representations, and a seed (63 bits).

    `regions`, where any output has some, holds for each a shares_RHW or None: how much each of the R references of a
    composite style counts at every pixel of the content; shares sum to 1 over R and have the weights in them. Outputs
    that share regions share the tensor. `strengths`, where it holds any, is how much of the style each output gets, 0
    to 1, in the place of the method's own setting; only methods whose settings say `varies_strength` read it.
    """

    contents: Sequence[int]
    representations: Sequence[int]
    seeds: Sequence[int]
    regions: Sequence[Tensor | None] = ()
    strengths: Sequence[float] = ()

    def __len__(self) -> int:
        return len(self.contents)

    def pick(self, places: Sequence[int]) -> Pairs:
        """The pairs at these places, in that order."""
        columns = (self.contents, self.representations, self.seeds)
        contents, representations, seeds = ([column[place] for place in places] for column in columns)
        regions = [self.regions[place] for place in places] if self.regions else ()
        strengths = [self.strengths[place] for place in places] if self.strengths else ()
        return Pairs(contents, representations, seeds, regions, strengths)

    def composites(self) -> list[int]:
        """Places of the pairs that have regions."""
        return [place for place, shares_RHW in enumerate(self.regions) if shares_RHW is not None]


class Method(Protocol):
    """A published algorithm behind three verbs; made from its settings, its weights and a device."""

    def represent(self, styles: Sequence[Style]) -> list[Representation]:
        """Compute each style's representation: slow, once per style; a batch shares the work.

        Raises RequestError where a style has a kind of reference that the method cannot use.
        """
        ...

    def encode(self, images_NCHW: Tensor) -> Content:
        """Encode a batch of equal-sized contents (float32 RGB in [0, 1]) once, for all styles."""
        ...

    def render(self, content: Content, reps: Sequence[Representation], pairs: Pairs) -> Tensor:
        """Stylize: images_PCHW, float32 in [0, 1], of the contents' own height and width."""
        ...


class PromptedMethod(Method, Protocol):
    """A method that makes pictures of prompts, too, where there are no contents to stylize."""

    def encode_prompts(self, prompts: Sequence[str], height: int, width: int) -> Content:
        """Encode a batch of prompts, a row each, once for all styles: `render` makes pictures of that size of them."""
        ...


class InvertingMethod(Method, Protocol):
    """A method whose `represent` has a slow first half that other settings share: it is stored by a key of its own."""

    def invert(self, styles: Sequence[Style]) -> list[Representation]:
        """The first half, of styles of one part each."""
        ...

    def represent_inverted(
        self, styles: Sequence[Style], inverted: Sequence[Sequence[Representation]]
    ) -> list[Representation]:
        """The second half: for each style what `invert` made of each of its parts (`Style.inverted`)."""
        ...
