"""All the styles that the embedded CLIPs are taught: the photograph itself, renderings, palettes; and the textures."""

from __future__ import annotations

from functools import partial

from tasks.training.renderings import drawing, elements, light, masters, materials, painting, prints, screens
from tasks.training.renderings.canvas import Generator, Picture, Rendering
from tasks.training.renderings.palettes import PALETTES, recolour
from tasks.training.renderings.textures import TEXTURES, Texture
from tasks.training.renderings.words import WORDS


def leave(picture_HW3: Picture, _rng: Generator) -> Picture:
    return picture_HW3


PHOTOGRAPH = Rendering(
    "photograph",
    leave,
    ("a photo", "a photograph", "a plain photo", "an ordinary photograph", "a colour photo", "a color photograph"),
    ("a plain photograph", "an ordinary photo"),
)

FAMILIES = (drawing, prints, painting, materials, screens, light, elements, masters)
# The photograph comes first; the rest in the order of their families.
RENDERINGS: tuple[Rendering, ...] = (
    PHOTOGRAPH,
    *(rendering for family in FAMILIES for rendering in family.RENDERINGS),
    *(
        Rendering(palette.name, partial(recolour, palette=palette), palette.phrases, palette.unseen)
        for palette in PALETTES
    ),
)
# Of every style that a caption can name, by index: the renderings, then the textures.
STYLES: tuple[Rendering | Texture, ...] = (*RENDERINGS, *TEXTURES)
PHRASES = tuple((*style.phrases, *WORDS.get(style.name, ())) for style in STYLES)
