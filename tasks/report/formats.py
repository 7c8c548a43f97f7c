"""Numbers as people read them: thousands apart, units beside them, a missing value as a dash."""

from __future__ import annotations

import math

MISSING = "\N{EN DASH}"
BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def count(value: int) -> str:
    """12345 as `12,345`."""
    return f"{value:,}"


def percent(share: float | None) -> str:
    """A share of one in percent; small ones keep a decimal, and only none reads as 0 and only all as 100."""
    if share is None or not math.isfinite(share):
        return MISSING
    value = 100 * share
    if 0 < value < 0.1:
        return "< 0.1 %"
    if 99.9 < value < 100:
        return "> 99.9 %"
    return f"{value:.1f} %" if 0 < value < 10 or 99 < value < 100 else f"{value:.0f} %"


def rate(value: float) -> str:
    """A rate with three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """Seconds as `850 ms`, `4.2 s`, `3 min 12 s` or `5 h 02 min`."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def size(number: int) -> str:
    """Bytes in decimal units, as object stores bill them."""
    value, unit = float(number), 0
    while value >= 999.5 and unit < len(BYTE_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{number} B" if unit == 0 else f"{value:.3g} {BYTE_UNITS[unit]}"


def score(value: float) -> str:
    """A score with three decimals and a true minus sign."""
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def signed_score(value: float) -> str:
    """A difference of scores with its sign; what rounds to zero has none."""
    rounded = round(value, 3) + 0.0
    return f"+{score(rounded)}" if rounded > 0 else score(rounded)


def score_label(name: str) -> str:
    """Name of a score in words: `clip_text` as `CLIP text`."""
    return name.replace("clip_", "CLIP ", 1).replace("_", " ")


def shorten(text: str, limit: int = 300) -> str:
    """At most `limit` characters, the rest as an ellipsis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def shorten_digest(text: str) -> str:
    """A long hexadecimal digest cut to what tells two apart by eye."""
    return text if len(text) <= 20 else f"{text[:16]}…"
