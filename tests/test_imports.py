"""Reading a job is instant: nothing heavy is loaded until it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "prefect", "open_clip", "scipy", "pandas", "datasets")


@pytest.mark.parametrize("module", ["pipelines.job", "tasks.plan", "tasks.dataset.chain", "tasks.dataset.verify"])
def test_a_light_module_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
