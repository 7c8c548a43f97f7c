"""`atelier run` against a bare loop of the same network: python -m infra.bench.overhead [--photos 200] [--repeats 3].

The bare loop is one process with two torch threads: decode, encode, render each style, JPEG, one Parquet file. The
run has two actors of one thread each. Both make the same pictures; start-up is left out of both; repeats alternate.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from infra.bench.corpus import write_art, write_corpus
from pipelines.job import make_job
from tasks.images.decoding import decode, read_picture
from tasks.images.encoding import encode
from tasks.images.padding import to_pixels, to_tensor
from tasks.images.settings import ImageSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.methods.base import Pairs, Reference, Style
from tasks.methods.settings import open_method

THREADS = 2
IMAGES = ImageSettings(size=512)


def main() -> None:
    """Measure one and eight styles, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--styles", type=int, nargs="+", default=[1, 8])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = write_corpus(folder, options.photos)
        for styles in options.styles:
            compare(folder, photos, write_art(folder, styles), options.repeats)


def compare(folder: Path, photos: Path, art: Path, repeats: int) -> None:
    """Alternate the two, and print the rates and the ratio of the medians."""
    bare, run, verbs = [], [], []
    for repeat in range(repeats):
        rate, share = bare_rate(folder, photos, art)
        bare.append(rate)
        verbs.append(share)
        run.append(run_rate(folder, photos, art))
        print(f"  repeat {repeat}: bare {bare[-1]:.2f}, atelier run {run[-1]:.2f} pictures/s", flush=True)
    ratio = statistics.median(run) / statistics.median(bare)
    styles = len(list(art.iterdir()))
    print(
        f"{styles} styles: bare loop {statistics.median(bare):.2f}, atelier run {statistics.median(run):.2f} "
        f"pictures/s, ratio {ratio:.2f}; encode and render are {statistics.median(verbs):.0%} of the bare loop"
    )


def bare_rate(folder: Path, photos: Path, art: Path) -> tuple[float, float]:
    """Pictures per second of the bare loop, and the share of it that the network takes."""
    torch.set_num_threads(THREADS)
    method = open_method(AdainSettings(), "cpu")
    pictures = [to_tensor([decode(path.read_bytes())])[0] for path in sorted(art.iterdir())]
    reps = method.represent([Style(str(i), (Reference(1.0, picture),)) for i, picture in enumerate(pictures)])
    rows, network = [], 0.0
    started = time.perf_counter()
    for path in sorted(photos.iterdir()):
        images_1CHW = to_tensor([read_picture(path.read_bytes(), IMAGES).pixels_HWC])
        before = time.perf_counter()
        content = method.encode(images_1CHW)
        network += time.perf_counter() - before
        for index in range(len(reps)):
            before = time.perf_counter()
            output_1CHW = method.render(content, reps, Pairs([0], [index], [0]))
            network += time.perf_counter() - before
            rows.append({"content_id": path.name, "style": index, "image": encode(to_pixels(output_1CHW)[0], IMAGES)})
    pq.write_table(pa.Table.from_pylist(rows), folder / "bare.parquet", compression="none")
    seconds = time.perf_counter() - started
    return len(rows) / seconds, network / seconds


def run_rate(folder: Path, photos: Path, art: Path) -> float:
    """Pictures per second of `atelier run`, from the first shard handed out to the last committed."""
    from pipelines.stylize import stylize

    output = folder / "dataset"
    shutil.rmtree(output, ignore_errors=True)
    job = make_job({"corpus": str(photos), "output": str(output), "styles": str(art)}, folder)
    summary = stylize(job)
    assert summary.exit_code == 0, summary.describe()
    return summary.images_per_second


if __name__ == "__main__":
    main()
