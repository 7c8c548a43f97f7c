"""What an actor loads before it knows its work."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("open_clip", "torchvision", "prefect", "matplotlib", "skimage")


def test_an_actor_loads_no_library_that_only_other_work_needs() -> None:
    modules = "tasks.actors.stylizer, tasks.methods.adain.method"
    code = f"import sys, {modules}; print([name for name in {HEAVY} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "[]"


def test_settings_load_neither_torch_nor_ray() -> None:
    code = "import sys, tasks.actors.settings; print('torch' in sys.modules, 'ray' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "False False"
