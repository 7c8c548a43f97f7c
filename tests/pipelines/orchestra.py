"""A Prefect server in a process of its own, with the `prefect` command and workers that know it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx

from tests.pipelines.conftest import Atelier
from tests.servers import PREFECT, start_server

ROOT = Path(__file__).resolve().parents[2]
Value = TypeVar("Value")
SECONDS = 400  # of waiting for whatever takes a few on an idle machine


def read_settings() -> dict[str, str]:
    """The settings of infra/prefect.env."""
    lines = (ROOT / "infra/prefect.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


class Orchestra:
    """A server at `api`; commands run at the root of the repository."""

    def __init__(self, atelier: Atelier, home: Path, api: str) -> None:
        self.api = api
        self.home = home
        self.environment = atelier.environment | {
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": self.api,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, *words: object, module: str = "prefect", **environment: str) -> subprocess.Popen[str]:
        """Start a command; what it says goes to a file in the server's folder."""
        with open(self.home / f"{'-'.join(map(str, words[:2])).replace('/', '_')}.log", "a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *map(str, words)],
                cwd=ROOT,
                env=self.environment | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def prefect(self, *words: object, **environment: str) -> str:
        """Run a `prefect` command that has to end well; gives what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *map(str, words)],
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, method: str, path: str, **content: Any) -> Any:
        """A request to the server's API; while its SQLite is busy it answers 503, and is asked again."""
        end = time.monotonic() + SECONDS
        while True:
            answer = httpx.request(method, f"{self.api}{path}", json=content or None, timeout=60)
            if answer.status_code != 503 or time.monotonic() > end:
                break
            time.sleep(0.5)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def run(self, deployment: str, **parameters: object) -> UUID:
        """A flow run of a deployment, at once."""
        found = self.ask("GET", f"/deployments/name/{deployment}")
        made = self.ask("POST", f"/deployments/{found['id']}/create_flow_run", parameters=parameters)
        return UUID(made["id"])

    def state(self, run: UUID) -> dict[str, Any]:
        """The state of a flow run: its type, its name, its message."""
        state: dict[str, Any] = self.ask("GET", f"/flow_runs/{run}")["state"]
        return state

    def set_state(self, run: UUID, kind: str, name: str | None = None, **details: object) -> None:
        """Ask for a state, as the buttons of the user interface do."""
        state = {"type": kind, "name": name or kind.title(), "state_details": details}
        answer = self.ask("POST", f"/flow_runs/{run}/set_state", state=state)
        assert answer["status"] == "ACCEPT", answer

    def wait(self, run: UUID, *kinds: str) -> dict[str, Any]:
        """Wait until a flow run is in one of some states."""
        wait_until(lambda: self.state(run)["type"] in kinds, lambda: f"{self.state(run)}\n{self.said()}")
        return self.state(run)

    def said(self) -> str:
        """The end of what every command said."""
        return "\n".join(f"{path.name}: {path.read_text()[-4000:]}" for path in sorted(self.home.glob("*.log")))


@contextmanager
def open_orchestra(atelier: Atelier, home: Path) -> Iterator[Orchestra]:
    """A server on a free port, until the block ends."""
    server = start_server(PREFECT, {"PREFECT_HOME": str(home)}, log=home / "server.log")
    made = Orchestra(atelier, home, f"{server.url}/api")
    try:
        wait_until(lambda: is_healthy(made.api), made.said)
        yield made
    finally:
        server.stop()


def is_healthy(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def wait_until(condition: Callable[[], Value], tell: Callable[[], str], seconds: float = SECONDS) -> Value:
    """Wait for what will happen, and give it; fail with what there is to tell where it does not."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, tell()
        time.sleep(0.1)
    return found


def actor_processes(atelier: Atelier) -> list[int]:
    """Processes of stylizing actors, as Ray names them."""
    found = []
    for pid in atelier.processes():
        try:
            title = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::Stylizer"):
            found.append(pid)
    return [pid for pid in found if pid != os.getpid()]
