"""An HTML page from templates of this folder: its style inside, known by its digest, and nothing that is run."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

# Control characters but for tabs and line ends, and those that turn the direction of writing round.
STEERING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def make_environment() -> Environment:
    """Templates of this folder; values are escaped, a missing one is an error."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_page(environment: Environment, template: str, style: str, **values: Any) -> str:
    """The whole page; the same values give the same page, byte for byte."""
    css = environment.get_template(style).render()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode("ascii")
    page = environment.get_template(template).render(css=Markup(css), css_digest=digest, **values)
    # Names come from corpora, and a page is looked at with `cat`, too.
    page = STEERING.sub("\N{REPLACEMENT CHARACTER}", page)
    # A path that is not text (surrogates from the file system) must not keep the page from being written.
    return page.encode("utf-8", "replace").decode("utf-8")
