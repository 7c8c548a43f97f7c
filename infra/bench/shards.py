"""What orchestration and I/O add to shards of known length: python -m infra.bench.shards [--shards 100].

Each shard is so many seconds of sleep (a decoder that sleeps, on the actors' two codec threads), so that the machine's
speed plays no part: what the run takes beyond the sleep is ours. Start-up is left out, commits are in. With
`--seconds 0 --contents 1` and more and more shards it shows what shards take of the driver's memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import yaml

THREADS = 2  # that decode, in an actor
ACTORS = 2


def main() -> None:
    """Run a job of sleeping shards on a local Ray, and print what it took beyond the sleep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0, help="of sleep in a shard")
    parser.add_argument("--contents", type=int, default=4, help="in a shard")
    options = parser.parse_args()
    slowly = Path(__file__).resolve().parents[2] / "tests/chaos/slowly"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(slowly), str(slowly.parents[2])])
    os.environ["ATELIER_DECODING_SECONDS"] = str(options.seconds * THREADS / options.contents)
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  # others on this machine are not what is measured
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.shards, options.seconds, options.contents)


def measure(folder: Path, shards: int, seconds: float, contents: int) -> None:
    """One run, with the CPU seconds and the memory of this process, which is the driver."""
    from pipelines.job import load_job
    from pipelines.stylize import stylize
    from tests.tasks.actors.making import write_photographs, write_style_pictures

    write_photographs(folder / "photos", shards * contents)
    bars = write_style_pictures(folder / "art") / "bars.png"
    job = {
        "corpus": "photos",
        "output": "out",
        "styles": [{"name": "bars", "references": [{"image": str(bars)}]}],
        "images": {"size": 64},
        "scores": {"clip": "none"},
        "resources": {"actors": ACTORS, "gpus_per_actor": 0},
        "shard_images": contents,
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(job))
    before, held = time.process_time(), peak()
    summary = stylize(load_job(folder / "job.yaml"))
    assert summary.exit_code == 0, summary.describe()
    asleep, took = shards * seconds / ACTORS, summary.stylize_seconds
    print(f"{shards} shards of {seconds:g} s on {ACTORS} actors: {took:.1f} s, of which {asleep:.1f} s asleep")
    if asleep:
        print(f"overhead {took / asleep - 1:.1%}")
    print(f"CPU seconds of the driver, all told: {time.process_time() - before:.1f}")
    print(f"memory of the driver: {peak():.0f} MB at most, {held:.0f} MB before the run")


def peak() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
