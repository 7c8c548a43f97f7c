"""A run under control: it holds the dataset's lease, and a pause, a cancellation or another driver stops it in seconds.

Whatever stops it is raised out of the work itself, so that actors end with their block; what they had in hand and had
not committed is made again later. Prefect is asked for the state of the flow run, and never for more than that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled

from pipelines.command import say
from pipelines.summary import RunSummary
from tasks.dataset.lease import Lease, LeaseLostError, hold_lease
from tasks.storage import Folder

# A question to the server is about 10 ms of its time.
POLL_SECONDS = 2.0

T = TypeVar("T")


class RunPausedError(Pause):
    """The flow run is paused: it goes on in this process. Prefect's tasks let a `Pause` pass, as no failure."""


class RunCancelledError(Pause):
    """The flow run was cancelled, or was ended from outside while it was paused."""


def end_cancelled(make: Callable[[], T]) -> T:
    """What a flow makes; or the state in which it ends where it was cancelled, whether or not a worker sees to that.

    No decorator: Prefect looks up a flow's parameters in the module of its function.
    """
    try:
        return make()
    except RunCancelledError as error:
        return Cancelled(message=str(error))  # type: ignore[return-value]  # Prefect takes a state for a result


class FlowWatch:
    """Knows the state of the flow run that it was made in, a few seconds late. Outside of one it knows nothing.

    A server that does not answer stops no run. An embedded server belongs to this process: nobody else can reach it.
    """

    def __init__(self) -> None:
        context = FlowRunContext.get()
        run = context.flow_run if context else None
        self._run: UUID | None = run.id if run and PREFECT_API_URL.value() else None
        self.holder = f"Prefect run {run.id}" if run else "a run outside of Prefect"
        self._state: State | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=copy_context().run, args=(self._look_on,), name="watch", daemon=True)

    def __enter__(self) -> FlowWatch:
        if self._run:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def check(self) -> None:
        """Raise where the run is to stop: RunPausedError, RunCancelledError, or Prefect's Pause of a suspended run."""
        state = self._state
        if state is None:
            return
        if state.is_cancelling() or state.is_cancelled():
            raise RunCancelledError("Cancelled: the same job again goes on where this run stopped.")
        if state.is_paused() and state.state_details.pause_reschedule:
            raise Pause(state=state)  # its worker starts it again when it is resumed
        if state.is_paused():
            raise RunPausedError("Paused.")

    def wait_until_resumed(self) -> None:
        """Wait while the flow run is paused. Raises as `check`, and where it was ended meanwhile."""
        while not self._ended.wait(POLL_SECONDS / 2):
            try:
                self.check()
            except RunPausedError:
                continue
            if self._state is not None and self._state.is_final():
                raise RunCancelledError(f"Ended while it was paused ({self._state.name}).")
            return

    def _look_on(self) -> None:
        assert self._run is not None
        while not self._ended.is_set():
            # One client after another: a server that comes back may be another one.
            try:
                with get_client(sync_client=True) as client:
                    while not self._ended.wait(POLL_SECONDS):
                        self._state = client.read_flow_run(self._run).state
            except Exception:  # noqa: BLE001  # whatever ails the server, the run goes on
                self._ended.wait(POLL_SECONDS)


class RunControl:
    """What a run needs while it works: the lease of its dataset, and an eye on its flow run."""

    def __init__(self, lease: Lease, watch: FlowWatch) -> None:
        self._lease, self._watch = lease, watch

    def check(self) -> None:
        """Raise where the run is to let go of its actors."""
        self._lease.check()
        self._watch.check()

    def work(self, make: Callable[[], None], summary: RunSummary) -> None:
        """Do a run's work. At a pause it lets go of its actors, and later goes on with what is left.

        A run whose dataset was taken over ends there, and says so in its summary.
        """
        while True:
            try:
                return make()
            except LeaseLostError as error:
                summary.given_up.append(str(error))
                return None
            except RunPausedError:
                say("Paused: the actors were let go of.")
                self._watch.wait_until_resumed()
                say("Resumed.")


@contextmanager
def control_run(output: str, take_over: bool = False) -> Iterator[RunControl]:
    """Control of a run on the dataset at `output`, once no other run works on it."""
    with FlowWatch() as watch, hold_lease(Folder(output), watch.holder, say, watch.check, take_over) as lease:
        yield RunControl(lease, watch)
