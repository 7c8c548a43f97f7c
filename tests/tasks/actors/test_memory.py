"""An actor's memory: under 3 GB, and flat as the corpus grows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tasks.actors.making import encoded, photograph, write_style_pictures

# Stylizes a corpus in shards of 50 and prints the most memory that the process ever held, in bytes.
WORK = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from tasks.images.settings import ImageSettings
from tests.tasks.actors.making import load, make_order, plan_styles, stylize

corpus, art, output, size = sys.argv[1:]
images = ImageSettings(size=size if size == "keep" else int(size))
order = make_order(Path(corpus), plan_styles(Path(art)), images)
loaded = load(Path(output))
for start in range(0, len(order.pieces), 50):
    part = replace(order, shard=start // 50, pieces=order.pieces[start : start + 50])
    footer = stylize(loaded, part)
    assert footer.records + footer.failed == part.pairs, footer
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""

# The same with so many more MB than the loaded networks take, and prints what became of the pairs.
LITTLE = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from tasks.images.settings import ImageSettings
from tests.tasks.actors.making import failures, load, make_order, plan_styles, stylize

corpus, art, output, room = sys.argv[1:]
order = make_order(Path(corpus), plan_styles(Path(art)), ImageSettings(size=1024))
stylize(load(Path(output) / "warm"), replace(order, pieces=order.pieces[:1]))
loaded = load(Path(output), batch_pixels=len(order.pieces) * 1024 * 768)
loaded.ready(order.styles)
held = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (held * 1024 + int(room) * 2**20,) * 2)
footer = stylize(loaded, order)
print(footer.records, footer.failed, *{row["error_class"] for row in failures(Path(output))} if footer.failed else ())
"""


def run_alone(code: str, *words: object) -> str:
    """What a process of its own prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def peak_bytes(corpus: Path, art: Path, output: Path, size: str) -> int:
    peak = int(run_alone(WORK, corpus, art, output, size))
    sys.stderr.write(f"{corpus.name}: {peak / 1e6:.0f} MB\n")
    return peak


def write_large(folder: Path, count: int, side: int, codec: str = "jpeg") -> Path:
    folder.mkdir()
    data = encoded(photograph(side, side * 3 // 4, seed=1), codec)
    for index in range(count):
        (folder / f"p{index:03d}.{codec}").write_bytes(data)
    return folder


@pytest.mark.slow
def test_memory_is_flat_as_the_corpus_grows(tmp_path: Path) -> None:
    art = write_style_pictures(tmp_path / "art")
    few, many = (
        peak_bytes(write_large(tmp_path / f"photos{n}", n, 1600), art, tmp_path / f"out{n}", "256") for n in (50, 400)
    )
    assert max(few, many) < 3e9
    assert many < 1.15 * few


@pytest.mark.slow
def test_pictures_of_a_hundred_megapixels_go_through(tmp_path: Path) -> None:
    art = write_style_pictures(tmp_path / "art")
    # PNG, because a JPEG would be decoded reduced.
    photos = write_large(tmp_path / "photos", 6, 11_500, "png")
    assert peak_bytes(photos, art, tmp_path / "out", "256") < 3e9


@pytest.mark.slow
@pytest.mark.parametrize(("room", "least", "most"), [(4000, 24, 24), (200, 0, 24), (30, 0, 0)])
def test_where_memory_is_refused_batches_shrink_and_what_does_not_fit_fails(
    tmp_path: Path, room: int, least: int, most: int
) -> None:
    art, photos = write_style_pictures(tmp_path / "art"), write_large(tmp_path / "photos", 12, 1024)
    records, failed, *reasons = run_alone(LITTLE, photos, art, tmp_path / "out", room).split()
    assert int(records) + int(failed) == 24
    assert least <= int(records) <= most
    assert reasons == ["out_of_memory"] * (int(failed) > 0)
