"""Banks made by a pool on a local Ray: a process is killed while it represents, and nothing is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tasks.actors.bank_crew import build_bank
from tasks.actors.cluster import Share
from tasks.actors.orders import ActorSettings
from tasks.actors.pool import open_pool
from tasks.banks import sources
from tasks.banks.kept import find_bank, open_bank
from tasks.drawing import want_bank
from tasks.methods.adain.settings import AdainSettings
from tasks.storage import Folder
from tests.tasks.actors.making import photograph

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


def test_a_killed_process_costs_a_bank_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PART_STYLES", 8)
    (tmp_path / "art").mkdir()
    for number in range(40):
        photograph(48, 40, number).save(tmp_path / "art" / f"{number:02d}.png")
    share = Share(actors=2, gpus=0.0, threads=1)
    settings = ActorSettings(str(tmp_path / "out"), str(tmp_path / "store"), "none", actors=2)
    store = Folder(settings.store)
    wanted = want_bank(str(tmp_path / "art"), AdainSettings(), store, settings.output, lambda _: None)
    assert [part.styles for part in wanted.parts] == [8] * 5
    done: list[int] = []
    with open_pool(settings, share) as pool:

        def progress(pictures: int) -> None:
            done.append(pictures)
            if len(done) == 1:
                os.kill(pool.places[0]["pid"], signal.SIGKILL)

        key = build_bank(pool, wanted.parts, wanted.order, progress)
        assert build_bank(pool, wanted.parts, wanted.order) == key
    assert done == [8] * 5
    assert find_bank(store, "adain", wanted.source) == key
    assert len(open_bank(store, "adain", key)) == 40
