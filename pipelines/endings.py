"""How a command ends that did not come to its end: one sentence, and the exit code that is true."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable

import typer

from tasks.records import RequestError
from tasks.storage import is_passing, shorten_error

WRONG, INCOMPLETE = 2, 3
INTERRUPTED = 128 + signal.SIGINT  # what a shell expects after ^C
AGAIN = "Nothing is lost: run the same command again."


class Terminated(BaseException):
    """SIGTERM: actors are ended and the cluster is left on the way out."""


def end_well(command: Callable[[], object]) -> None:
    """Call a command; end the process with what its exit code should be where it raises.

    SIGTERM ends a run as ^C does: its actors within seconds, and what is committed stays.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        command()
    except RequestError as error:
        _end(*_judge(error))
    except Terminated:
        _end(INCOMPLETE, f"The run was asked to end. {AGAIN}")
    except (KeyboardInterrupt, SystemExit) as error:
        # Typer makes the one of the other, without a word.
        if isinstance(error, SystemExit) and error.code != INTERRUPTED:
            raise
        _end(INTERRUPTED, f"The run was interrupted. {AGAIN}")
    except Exception as error:  # noqa: BLE001  # whatever it is, exit code 1 would say that too many pairs failed
        if _comes_of(error, Terminated):  # Ray makes a SystemError of it where it waits
            _end(INCOMPLETE, f"The run was asked to end. {AGAIN}")
        if not _says_enough(error):
            traceback.print_exc()
        _end(INCOMPLETE, f"The run ended early ({type(error).__name__}: {shorten_error(error)}). {AGAIN}")


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: cleaning up takes a moment
    raise Terminated


def _judge(error: RequestError) -> tuple[int, str]:
    """Exit code and sentence of a request that was refused: where a store fails, nothing may be wrong with it."""
    if is_passing(error.__cause__):
        return INCOMPLETE, f"{error} The store may recover. {AGAIN}"
    return WRONG, str(error)


def _comes_of(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether an error, or what it was raised from or at, is of a kind."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error is not None


def _says_enough(error: Exception) -> bool:
    """Errors of storage, of the network and of the cluster explain themselves; others are bugs of ours."""
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in ("botocore", "httpx", "ray", "prefect")


def _end(code: int, sentence: str) -> None:
    typer.echo(f"atelier: {sentence}", err=True)
    sys.exit(code)
