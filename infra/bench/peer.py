"""VGG AdaIN against bethgelab/stylize-datasets on the same pairs: python -m infra.bench.peer CHECKOUT [--photos 8].

CHECKOUT is a clone of that repository (its code is not ours and not here). Both sides use the same seeded random
weights in the official layout: the cost is the same. Repeats alternate; both run on every core of the machine.
The peer's script draws styles at random, so it gets folders with exactly the styles of the run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from infra.bench.corpus import write_art, write_corpus
from pipelines.job import make_job


def main() -> None:
    """Measure one and eight styles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--photos", type=int, nargs=2, default=[12, 4], help="for 1 style, for 8 styles")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(options.checkout, folder / "peer", ignore=shutil.ignore_patterns(".git"))
        write_weights(folder / "peer")
        for styles, count in zip((1, 8), options.photos, strict=True):
            compare(folder, write_corpus(folder, count), write_art(folder, styles), options.repeats)


def compare(folder: Path, photos: Path, art: Path, repeats: int) -> None:
    """Alternate the two; seconds a picture, start-up aside."""
    styles, count = len(list(art.iterdir())), len(list(photos.iterdir()))
    peer, ours = [], []
    for repeat in range(repeats):
        peer.append(peer_seconds(folder, photos, art, styles) / (count * styles))
        ours.append(our_seconds(folder, photos, art) / (count * styles))
        print(f"  repeat {repeat}: peer {peer[-1]:.2f}, atelier {ours[-1]:.2f} s a picture", flush=True)
    ratio = statistics.median(peer) / statistics.median(ours)
    print(
        f"{count} photographs x {styles} styles: stylize-datasets {statistics.median(peer):.2f}, "
        f"atelier {statistics.median(ours):.2f} s a picture, {ratio:.2f} times"
    )


def write_weights(peer: Path) -> None:
    """Seeded random weights in the layout that the peer's own networks have."""
    script = (
        "import torch, net; from pathlib import Path; torch.manual_seed(0); Path('models').mkdir(exist_ok=True)\n"
        "for n in ('vgg', 'decoder'):\n"
        "    w = {k: torch.randn(v.shape) * (2 / v[0].numel()) ** 0.5 if v.ndim > 1 else torch.zeros(v.shape)\n"
        "         for k, v in getattr(net, n).state_dict().items()}\n"
        "    torch.save(w, 'models/' + {'vgg': 'vgg_normalised', 'decoder': 'decoder'}[n] + '.pth')\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=peer, check=True)


def peer_seconds(folder: Path, photos: Path, art: Path, styles: int) -> float:
    """Wall time of the peer's script less that of starting it: the time of the same run on one photograph."""
    first = folder / "first"
    if not first.exists():
        first.mkdir()
        shutil.copy(sorted(photos.iterdir())[0], first)
    one, all_ = (_run_peer(folder, where, art, styles) for where in (first, photos))
    count = len(list(photos.iterdir()))
    return (all_ - one) * count / (count - 1)


def _run_peer(folder: Path, photos: Path, art: Path, styles: int) -> float:
    output = folder / "peer-output"
    shutil.rmtree(output, ignore_errors=True)
    where = ["--content-dir", photos, "--style-dir", art, "--output-dir", output, "--num-styles", styles]
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "stylize.py", *map(str, where)],
        cwd=folder / "peer",
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - started


def our_seconds(folder: Path, photos: Path, art: Path) -> float:
    """From the first shard handed out to the last committed, representations included."""
    from pipelines.stylize import stylize

    output = folder / "dataset"
    shutil.rmtree(output, ignore_errors=True)
    weights = {"encoder": "peer/models/vgg_normalised.pth", "decoder": "peer/models/decoder.pth"}
    content = {
        "corpus": str(photos),
        "output": str(output),
        "styles": str(art),
        "method": {"name": "adain", "encoder": "vgg", "weights": weights},
    }
    summary = stylize(make_job(content, folder))
    assert summary.exit_code == 0, summary.describe()
    return summary.stylize_seconds + summary.represent_seconds


if __name__ == "__main__":
    main()
