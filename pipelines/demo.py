"""The demo: a sample corpus and style pictures of our own, and the job that brings them together."""

from __future__ import annotations

from pathlib import Path

from tasks.samples.photographs import write_photographs
from tasks.samples.styles import write_styles

from pipelines.job import Job, make_job


def demo_job(folder: Path) -> Job:
    """Write the sample corpus and styles under a folder, and give the job that stylizes them."""
    folder = folder.resolve()
    write_photographs(folder / "photos")
    write_styles(folder / "art")
    content = {
        "corpus": "photos",
        "output": "dataset",
        "styles": "art",
        "images": {"size": 512},
    }
    return make_job(content, folder)
