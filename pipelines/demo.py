"""The demo: a sample corpus and style pictures of our own, and the job that brings them together."""

from __future__ import annotations

from pathlib import Path

from pipelines.job import Job, make_job
from tasks.samples.photographs import write_photographs
from tasks.samples.styles import DEMO_STYLES, write_styles


def demo_job(folder: Path) -> Job:
    """Write the sample corpus and styles under a folder, and give the job that stylizes them."""
    folder = folder.resolve()
    write_photographs(folder / "photos")
    write_styles(folder / "art", DEMO_STYLES)
    content = {
        "corpus": "photos",
        "output": "dataset",
        "styles": "art",
        "images": {"size": 512},
    }
    return make_job(content, folder)
