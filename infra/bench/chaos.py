"""Runs under seeded random faults, and the same command after them: python -m infra.bench.chaos [--seeds 100]."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from tests.chaos.faults import Trial, run_undisturbed
from tests.chaos.world import World


def main() -> None:
    """Run the seeds, print a line for each, and what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "atelier-chaos")
    options = parser.parse_args()
    shutil.rmtree(options.keep, ignore_errors=True)
    options.keep.mkdir(parents=True)
    started, bad = time.monotonic(), 0
    world = World(options.keep)
    try:
        undisturbed = run_undisturbed(world)
        print(f"world and undisturbed run: {time.monotonic() - started:.0f} s", flush=True)
        for seed in range(options.first, options.first + options.seeds):
            outcome = Trial(world, seed).run(undisturbed)
            bad += bool(outcome.problems)
            said = "; ".join(outcome.problems) or "whole, same pixels"
            codes = ",".join(map(str, [outcome.first, *outcome.again]))
            print(f"{seed:4d} {outcome.seconds:6.1f} s  {codes:10s} {', '.join(outcome.faults)}: {said}", flush=True)
    finally:
        world.close()
    print(f"{options.seeds} seeds in {time.monotonic() - started:.0f} s, {bad} with problems")


if __name__ == "__main__":
    main()
