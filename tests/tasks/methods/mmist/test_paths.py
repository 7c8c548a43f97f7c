"""A path between two styles, seen by a CLIP that no loss has seen: ever nearer to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tasks.encoders.clip import open_clip_model
from tasks.methods.base import Pairs, Reference, Representation, Style
from tasks.methods.mmist.method import MmistMethod, open_method
from tasks.methods.mmist.settings import MmistSettings
from tasks.methods.text_pictures import squares
from tasks.samples.photographs import neutral_photographs, sample_photographs
from tasks.samples.styles import style_pictures
from tasks.scores.clip import ClipScorer

DRAWN = style_pictures(("night", "mosaic"))
PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)
NIGHT, MOSAIC = (Reference(image_CHW=torch.from_numpy(pixels).permute(2, 0, 1) / 255) for pixels in DRAWN.values())
CYANOTYPE, FIRE = Reference(text="a cyanotype print"), Reference(text="fire and flames")
ENDS = {"two texts": (CYANOTYPE, FIRE), "a picture and a text": (NIGHT, FIRE), "two pictures": (NIGHT, MOSAIC)}


@pytest.fixture(scope="module", params=["invert", "keep"])
def method(request: pytest.FixtureRequest) -> MmistMethod:
    """Fewer and smaller pictures than a user gets, sought in fewer steps."""
    few = {"representations": 2, "starts": 96, "steps": 9, "crops": 8, "size": 128, "crop_size": 64}
    return open_method(MmistSettings(render_with={"name": "adain"}, pictures=request.param, **few))


@pytest.fixture(scope="module")
def inverted(method: MmistMethod) -> dict[int, Representation]:
    """What each end's pictures are, by its identity, of those that are inverted."""
    ends = [end for end in (CYANOTYPE, FIRE, NIGHT, MOSAIC) if method.settings.inverts(end.text)]
    found = method.invert([Style("end", (end,)) for end in ends])
    return {id(end): rep for end, rep in zip(ends, found, strict=True)}


def walk(
    method: MmistMethod, inverted: Mapping[int, Representation], ends: Sequence[Reference], places: Sequence[float]
) -> list[Representation]:
    """Representations of styles on the path."""
    styles, parts = [], []
    for place in places:
        both = [(part, weight) for part, weight in enumerate((1 - place, place)) if weight > 0]
        styles.append(Style("step", tuple(replace(ends[part], weight=weight, part=part) for part, weight in both)))
        parts.append([inverted[id(ends[part])] for part, _ in both if id(ends[part]) in inverted])
    return method.represent_inverted(styles, parts)


def render(method: MmistMethod, contents_N3SS: Tensor, reps: Sequence[Representation]) -> Tensor:
    """Every content in every style, a style after the other."""
    count = len(contents_N3SS)
    rows = [(row, index) for index in range(len(reps)) for row in range(count)]
    pairs = Pairs([row for row, _ in rows], [index for _, index in rows], [0] * len(rows))
    return method.render(method.encode(contents_N3SS), reps, pairs)


@pytest.mark.parametrize("ends", ENDS)
def test_a_path_is_continuous_and_monotone_to_the_judge(
    method: MmistMethod, inverted: Mapping[int, Representation], ends: str
) -> None:
    contents_N3SS = squares([pixels for _, pixels in sample_photographs(8)], 128)
    outputs = render(method, contents_N3SS, walk(method, inverted, ENDS[ends], PLACES))
    scorer = ClipScorer(open_clip_model("embedded:clip-judge-small"), neutral_photographs())
    targets = scorer.prepare([Style("start", (ENDS[ends][0],)), Style("end", (ENDS[ends][1],))])
    contents_PD = scorer.embed_contents(contents_N3SS).repeat(len(PLACES), 1)
    near_2K = scorer.compare_directions(outputs, contents_PD, targets).unflatten(1, (len(PLACES), -1)).mean(2)
    assert ((near_2K[1] - near_2K[0]).diff() > 0).all(), near_2K
    if ends != "two pictures":  # each of which a small judge takes for a bit of the other
        assert (near_2K[0].diff() < 0).all(), near_2K
        assert (near_2K[1].diff() > 0).all(), near_2K
    moves = (outputs.unflatten(0, (len(PLACES), -1)).diff(dim=0)).abs().mean((1, 2, 3, 4))
    assert moves.max() < 2.5 * moves.min()  # no step is a jump


def test_a_small_step_changes_a_picture_little(method: MmistMethod, inverted: Mapping[int, Representation]) -> None:
    contents_N3SS = squares([pixels for _, pixels in sample_photographs(1)], 128)
    one, next_one = render(method, contents_N3SS, walk(method, inverted, ENDS["a picture and a text"], (0.5, 0.501)))
    assert 0 < (one - next_one).abs().max() < 0.02
