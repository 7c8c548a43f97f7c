"""Words on a picture: a font that has the letters, lines that fit a width."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont

# Pillow's own font has little beyond ASCII; these have more, where a system has them.
WIDE_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "LiberationSans-Regular.ttf", "arial.ttf")
ABSENT = "\uffff"  # no character: what a font draws for those that it lacks
CUT = "..."
BREAKS = re.compile(r"[^\s/_-]+[\s/_-]*|[\s/_-]+")


class Lettering:
    """Writes in one typeface: Pillow's own, or a system's where that has more of the characters."""

    def __init__(self, texts: Iterable[str]) -> None:
        characters = {character for text in texts for character in text} - {" "}
        self.typeface = max(("", *WIDE_FONTS), key=lambda name: sum(_has(name, one) for one in characters))

    def font(self, size: int) -> Font:
        """The typeface at a size in pixels."""
        font = _load(self.typeface, size)
        assert font is not None, "a typeface is chosen among those that load"
        return font

    def clean(self, text: str) -> str:
        """A text on one line, with nothing that the typeface lacks: without its accents, or `?`."""
        line = " ".join(text.split())
        return "".join(c if c == " " or _has(self.typeface, c) else self._nearest(c) for c in line)

    def wrap(self, text: str, size: int, width: int, lines: int) -> list[str]:
        """At most so many lines of at most `width` pixels; where it is too much, the last one ends in dots.

        A line ends after a space, a hyphen, an underscore or a slash; within a word that is too long for one.
        """
        font, parts, made = self.font(size), BREAKS.findall(self.clean(text)), [""]
        while parts:
            longer = made[-1] + parts[0]
            if font.getlength(longer.rstrip()) <= width:
                made[-1], parts = longer, parts[1:]
            elif len(made) == lines:
                made[-1] = self.cut(f"{longer}{CUT}", size, width)
                break
            elif made[-1]:
                made.append("")
            else:
                fitting = self._fit(parts[0], font, width)
                made, parts = [*made[:-1], parts[0][:fitting], ""], [parts[0][fitting:], *parts[1:]]
        return [line.rstrip() for line in made]

    def cut(self, text: str, size: int, width: int) -> str:
        """The start of a text that fits; dots where there was more."""
        font, line = self.font(size), self.clean(text)
        if font.getlength(line) <= width:
            return line
        line = line.removesuffix(CUT)
        return line[: self._fit(line, font, width - font.getlength(CUT))].rstrip() + CUT

    def _fit(self, text: str, font: Font, width: float) -> int:
        """Number of characters that fit; at least one, so that lines always get on."""
        count = len(text)
        while count > 1 and font.getlength(text[:count]) > width:
            count -= 1
        return count

    def _nearest(self, character: str) -> str:
        plain = unicodedata.normalize("NFKD", character)
        kept = "".join(c for c in plain if not unicodedata.combining(c) and _has(self.typeface, c))
        return kept or "?"


@lru_cache(maxsize=1 << 16)
def _has(typeface: str, character: str) -> bool:
    """Whether a typeface has a character: whether it looks unlike one that there is not."""
    font = _load(typeface, 20)
    if font is None or not character.isprintable():  # of some that are not the layout engine makes an error
        return False
    return bytes(font.getmask(character)) != bytes(font.getmask(ABSENT))


@lru_cache(maxsize=64)
def _load(typeface: str, size: int) -> Font | None:
    try:
        font = ImageFont.truetype(typeface, size) if typeface else ImageFont.load_default(size)
    except OSError:
        return None
    return font if isinstance(font, Font) else None
