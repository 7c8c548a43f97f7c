"""The demo: a sample corpus, styles of our own in pictures and in words, and the job that brings them together."""

from __future__ import annotations

from pathlib import Path

from pipelines.job import Job, make_job
from tasks.samples.photographs import write_photographs
from tasks.samples.styles import DEMO_STYLES, write_styles

IN_WORDS = (
    {"name": "cyanotype", "references": [{"text": "a cyanotype print"}]},
    {
        "name": "wave-in-flames",
        "references": [{"image": "art/wave.jpg", "weight": 0.5}, {"text": "fire and flames", "weight": 0.5}],
    },
)


def demo_job(folder: Path) -> Job:
    """Write the sample corpus and styles under a folder, and give the job that stylizes them."""
    folder = folder.resolve()
    write_photographs(folder / "photos")
    write_styles(folder / "art", DEMO_STYLES)
    content = {
        "corpus": "photos",
        "output": "dataset",
        "method": {"name": "style_kernel"},
        "styles": [*({"name": name, "references": [{"image": f"art/{name}.jpg"}]} for name in DEMO_STYLES), *IN_WORDS],
        "images": {"size": 512},
    }
    return make_job(content, folder)
