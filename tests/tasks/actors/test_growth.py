"""A cluster that grows is waited for, and for no longer than was said."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.ray
def test_a_cluster_that_grows_is_waited_for() -> None:
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    code = [sys.executable, "-m", "tests.tasks.actors.growing"]
    done = subprocess.run(code, capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 0, done.stderr
    (at_once, took), (after, waited), actors = json.loads(done.stdout.splitlines()[-1])
    assert at_once.startswith("The cluster has 1 CPUs and 0 GPUs, room for 1 actors of 1 CPU")
    assert took < 2 < 3 <= waited
    assert after.endswith(" after 0.05 minutes.")
    assert actors == 2
