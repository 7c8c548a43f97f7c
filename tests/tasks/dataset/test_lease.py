"""One driver at a time: who waits, who takes over, and who finds out."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.dataset import lease as leases
from tasks.dataset.lease import NAME, LeaseLostError, hold_lease, read_lease
from tasks.storage import Folder


@pytest.fixture(params=["disk", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "out") if request.param == "disk" else f"{request.getfixturevalue('s3')}/out")


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(leases, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(leases, "SETTLE_SECONDS", 0.2)


@pytest.fixture
def said() -> list[str]:
    return []


def rewrite(folder: Folder, **changes: object) -> None:
    """A lease as another driver would have left it."""
    content = json.loads(folder.read(NAME)) | changes
    folder.publish(NAME, json.dumps(content, default=str).encode(), create=False)


def repeat(check: Callable[[], None]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        check()
        time.sleep(0.01)


def leave_a_lease(folder: Folder, **changes: object) -> None:
    with hold_lease(folder, "the other run", print):
        data = folder.read(NAME)
    folder.publish(NAME, data)
    rewrite(folder, machine="another", **changes)


def test_a_lease_is_there_while_a_run_is_and_beats(folder: Folder, said: list[str]) -> None:
    with hold_lease(folder, "run one", said.append) as held:
        first = read_lease(folder)
        assert first is not None
        assert first.holder == "run one"
        assert not first.is_over
        deadline = time.monotonic() + 10
        while (now := read_lease(folder)) is not None and now.heartbeat == first.heartbeat:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        held.check()
    assert read_lease(folder) is None
    assert said == []


def test_a_second_run_waits_for_the_first_and_says_for_whom(folder: Folder, said: list[str]) -> None:
    order: list[str] = []

    def second() -> None:
        with hold_lease(folder, "run two", said.append):
            order.append("two begins")

    with hold_lease(folder, "run one", print):
        thread = threading.Thread(target=second)
        thread.start()
        while not said:
            time.sleep(0.01)
        time.sleep(0.3)
        order.append("one ends")
    thread.join(20)
    assert order == ["one ends", "two begins"]
    assert len(said) == 1
    assert "run one, at work since 20" in said[0]


def test_whoever_waits_can_be_stopped(folder: Folder) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    leave_a_lease(folder, heartbeat=datetime.now(UTC))
    with pytest.raises(KeyboardInterrupt), hold_lease(folder, "run two", print, stop):
        pass
    left = read_lease(folder)
    assert left is not None
    assert left.holder == "the other run"


def test_a_lease_with_an_old_heartbeat_is_taken_over(folder: Folder, said: list[str]) -> None:
    leave_a_lease(folder, heartbeat=datetime.now(UTC) - timedelta(seconds=leases.TTL_SECONDS + 1))
    with hold_lease(folder, "run two", said.append):
        found = read_lease(folder)
        assert found is not None
        assert found.holder == "run two"
    assert said == []


def test_a_lease_of_a_process_that_was_killed_here_is_taken_over_at_once(folder: Folder, said: list[str]) -> None:
    code = f"from tasks.dataset.lease import *\nwith hold_lease(Folder({folder.uri!r}), 'killed', print): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    left = read_lease(folder)
    assert left is not None
    assert left.is_over
    with hold_lease(folder, "run two", said.append):
        assert said == []


def test_who_is_taken_over_finds_out_and_leaves_the_other_its_lease(folder: Folder) -> None:
    with hold_lease(folder, "run one", print) as first, hold_lease(folder, "run two", print, take_over=True) as second:
        with pytest.raises(LeaseLostError, match="taken over by run two, at work since"):
            repeat(first.check)
        second.check()
    assert read_lease(folder) is None


def test_of_many_that_take_over_one_stays(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SETTLE_SECONDS", 1.0)
    leave_a_lease(folder, heartbeat=datetime.now(UTC) - timedelta(days=1))
    at_once, most = 0, 0
    lock = threading.Lock()

    def work(number: int) -> None:
        nonlocal at_once, most
        with hold_lease(folder, f"run {number}", lambda _: None):
            with lock:
                at_once, most = at_once + 1, max(most, at_once + 1)
            time.sleep(0.05)
            with lock:
                at_once -= 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert most == 1
    assert read_lease(folder) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"token": "', b'{"token": "x", "host": "y"}'])
def test_what_is_no_lease_holds_nobody_up(tmp_path: Path, content: bytes) -> None:
    folder = Folder(str(tmp_path))
    folder.publish(NAME, content)
    with hold_lease(folder, "run one", print):
        assert read_lease(folder) is not None


def test_a_lease_names_no_host(folder: Folder) -> None:
    import getpass
    import socket

    with hold_lease(folder, "run one", print):
        text = folder.read(NAME).decode()
    assert socket.gethostname() not in text
    assert getpass.getuser() not in text
