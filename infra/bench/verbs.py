"""Does a run cost N encodes and N x S renders? python -m infra.bench.verbs [--photos 40] [--method "{name: adaattn}"].

Measures encode alone and render alone, on one thread, then a shard of N photographs in S styles; prints the ratio
of the network's time in the shard to N·encode + N·S·render.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import yaml
from pydantic import TypeAdapter

from infra.bench.corpus import write_art, write_corpus
from tasks.actors.loaded import Loaded
from tasks.actors.orders import ActorSettings, ShardOrder
from tasks.actors.shard import stylize_shard
from tasks.corpus import open_corpus
from tasks.corpus.settings import CorpusSettings
from tasks.images.decoding import read_picture
from tasks.images.padding import pad_to_stride, to_tensor
from tasks.images.settings import ImageSettings
from tasks.methods.base import Pairs
from tasks.methods.settings import AnySettings, MethodSettings
from tasks.preflight import prepare_styles

BATCH_PIXELS = 2**19


def main() -> None:
    """Measure one and eight styles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--method", default="{name: adain}", help="method settings as in a job, YAML")
    options = parser.parse_args()
    settings = TypeAdapter(MethodSettings).validate_python(yaml.safe_load(options.method))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = write_corpus(folder, options.photos)
        for styles in (1, 8):
            print(compare(folder, photos, write_art(folder, styles), options.repeats, settings), flush=True)


def compare(folder: Path, photos: Path, art: Path, repeats: int, chosen: AnySettings) -> str:
    """Alternate the verbs alone and the shard; medians."""
    output = folder / f"dataset-{art.name}"
    settings = ActorSettings(str(output), str(output / "r"), "none", "cpu", 1, BATCH_PIXELS)
    loaded = Loaded(settings)
    styles = prepare_styles(str(art), chosen)
    ready = loaded.ready(styles)
    method = loaded.method(styles[0])
    paths = sorted(photos.iterdir())
    picture = read_picture(paths[0].read_bytes(), ImageSettings())
    padded = pad_to_stride(to_tensor([picture.pixels_HWC]), chosen.stride)
    batch = max(1, BATCH_PIXELS // (padded.shape[2] * padded.shape[3]))
    images = padded.expand(batch, -1, -1, -1).contiguous()
    content = method.encode(images)
    reps = [style.representation for style in ready]
    pairs = Pairs(list(range(batch)), [i % len(reps) for i in range(batch)], [0] * batch)
    alone, shard = [], []
    for repeat in range(repeats):
        encode = _seconds(lambda: method.encode(images)) / batch
        render = _seconds(lambda: method.render(content, reps, pairs)) / batch
        alone.append(len(paths) * (encode + len(reps) * render))
        shard.append(_network_seconds(loaded, photos, styles, repeat))
    ratio = statistics.median(s / a for s, a in zip(shard, alone, strict=True))
    return (
        f"{len(paths)} photographs x {len(reps)} styles: N·encode + N·S·render {statistics.median(alone):.2f} s, "
        f"network time in the shard {statistics.median(shard):.2f} s, ratio {ratio:.3f}"
    )


def _network_seconds(loaded: Loaded, photos: Path, styles: tuple, repeat: int) -> float:  # type: ignore[type-arg]
    corpus = CorpusSettings(uri=str(photos))
    pieces = tuple(open_corpus(corpus).pieces({}))
    order = ShardOrder(repeat + 1, 0, "bench", corpus, ImageSettings(), 0, styles, pieces)
    footer = stylize_shard(loaded, order, lambda *_: None)
    return footer.seconds["encode"] + footer.seconds["render"]


def _seconds(work: Callable[[], object]) -> float:
    """Median of five."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
