"""What an actor loads before it knows its work."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("open_clip", "torchvision", "prefect", "matplotlib", "skimage")


def test_an_actor_loads_no_library_that_only_other_work_needs() -> None:
    modules = "tasks.actors.shard, tasks.methods.adain.method"
    code = f"import sys, {modules}; print([name for name in {HEAVY} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "[]"


def test_settings_load_neither_torch_nor_ray() -> None:
    code = "import sys, tasks.actors.settings; print('torch' in sys.modules, 'ray' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "False False"


def test_a_driver_starts_its_actors_without_loading_what_they_work_with() -> None:
    code = "import sys, pipelines.stylize, pipelines.synthesize; print('ray' in sys.modules, 'torch' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "True False"
