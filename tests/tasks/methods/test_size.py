"""A large content is stylized in bounded memory: attention is over chunks of its positions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tasks.methods.conftest import METHODS

SIDE = 4096
MOST_BYTES = 20e9  # of a whole process, torch and weights included
STYLIZE = f"""
import json, resource, sys
import torch
from pydantic import TypeAdapter
from tasks.methods.base import Pairs
from tasks.methods.settings import MethodSettings, open_method
from tests.tasks.methods.conftest import picture, style

method = open_method(TypeAdapter(MethodSettings).validate_json(sys.argv[1]))
reps = method.represent([style(picture(512, 512, seed=1)[0])])
image = method.render(method.encode(picture({SIDE}, {SIDE}, seed=2)), reps, Pairs([0], [0], [0]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({{"bytes": peak, "shape": list(image.shape), "finite": bool(torch.isfinite(image).all())}}))
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["adaattn-small", "style-kernel-small"])
def test_a_content_of_4096_pixels_a_side_peaks_below_20_gigabytes(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    settings = METHODS[name](tmp_path).model_dump_json()
    done = subprocess.run([sys.executable, "-c", STYLIZE, settings], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    record_property("bytes", found["bytes"])
    assert found["shape"] == [1, 3, SIDE, SIDE]
    assert found["finite"]
    assert SIDE * SIDE * 3 * 4 < found["bytes"] < MOST_BYTES
