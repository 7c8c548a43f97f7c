"""`python -m tests.fuzz pictures jobs --cases 10000`: a longer hunt than the tests' own; findings exit 1."""

from __future__ import annotations

import argparse
import sys

from tests.fuzz import corpora, jobs, pictures, weights
from tests.fuzz.sandbox import Prepare, Tally, run_cases

TARGETS: dict[str, Prepare] = {
    "pictures": pictures.prepare,
    "jobs": jobs.prepare,
    "corpora": corpora.prepare,
    "weights": weights.prepare,
}
SHOWN = 20  # findings of a target


def main() -> int:
    """Run the cases that were asked for; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"any of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--cases", type=int, default=10_000, help="of each target")
    parser.add_argument("--first", type=int, default=0, help="number of the first case: other numbers, other files")
    given = parser.parse_args()
    if unknown := set(given.targets) - TARGETS.keys():
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    found = 0
    for target in given.targets or TARGETS:
        tally = run_cases(TARGETS[target], range(given.first, given.first + given.cases))
        sys.stdout.write(describe(target, tally))
        found += len(tally.findings)
    return 1 if found else 0


def describe(target: str, tally: Tally) -> str:
    """A tally in a few lines, and what was found."""
    seconds, case = tally.slowest
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in tally.outcomes.most_common())
    counts = ", ".join(f"{count} {kind}" for kind, count in tally.counts().items())
    lines = [
        f"{target}: {tally.outcomes.total()} cases in {tally.seconds:.0f} s: {counts}",
        f"  {outcomes}",
        f"  slowest {seconds:.2f} s (case {case}), largest {tally.peak_bytes / 1e6:.0f} MB",
        *(f"  {one.kind} in case {one.case}: {one.detail}" for one in tally.findings[:SHOWN]),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
