"""How commands end that do not come to their end: the exit code is true, and one sentence says what to do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from pipelines.endings import end_well
from tasks.records import RequestError
from tests.pipelines.conftest import Atelier, read_images, wait_for, write_job
from tests.tasks.actors.making import write_photographs, write_style_pictures

AGAIN = "run the same command again"


@pytest.fixture(autouse=True)
def keep_signals() -> object:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def raise_(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


def caused(cause: BaseException) -> RequestError:
    error = RequestError("The corpus cannot be listed.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "said", "is_traced"),
    [
        (caused(PermissionError(13, "denied")), 2, "atelier: The corpus cannot be listed.\n", False),
        (caused(EndpointConnectionError(endpoint_url="http://gone")), 2, "cannot be listed.\n", False),
        (caused(OSError(16, "Please reduce your request rate")), 3, "cannot be listed. The store may recover.", False),
        (caused(ReadTimeoutError(endpoint_url="http://slow")), 3, "The store may recover.", False),
        (RequestError("The job is wrong."), 2, "atelier: The job is wrong.\n", False),
        (OSError(28, "No space left on device"), 3, "No space left on device", False),
        (EndpointConnectionError(endpoint_url="http://gone"), 3, 'Could not connect to the endpoint URL: "http', False),
        (KeyboardInterrupt(), 130, "The run was interrupted.", False),
        (SystemExit(130), 130, "The run was interrupted.", False),
        (ZeroDivisionError("division by zero"), 3, "ZeroDivisionError: division by zero", True),
    ],
)
def test_an_error_ends_in_one_sentence(
    error: BaseException, code: int, said: str, is_traced: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        end_well(raise_(error))
    stderr = capsys.readouterr().err
    assert ended.value.code == code
    assert said in stderr
    assert (AGAIN in stderr) == (code != 2)
    assert ("Traceback" in stderr) == is_traced


def test_an_exit_code_of_a_command_is_its_own() -> None:
    with pytest.raises(SystemExit) as ended:
        end_well(raise_(SystemExit(1)))
    assert ended.value.code == 1


def test_sigterm_ends_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    with pytest.raises(SystemExit) as ended:
        end_well(command)
    assert ended.value.code == 3
    assert f"The run was asked to end. Nothing is lost: {AGAIN}." in capsys.readouterr().err


def test_sigterm_is_known_under_another_error(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        except BaseException as error:
            raise SystemError("returned a result with an exception set") from error

    with pytest.raises(SystemExit) as ended:
        end_well(command)
    error = capsys.readouterr().err
    assert ended.value.code == 3
    assert "The run was asked to end." in error
    assert "Traceback" not in error


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.prefect
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 3), (signal.SIGINT, 130)])
def test_a_run_that_is_asked_to_end_ends_its_actors_and_loses_nothing(
    atelier: Atelier, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    write_photographs(tmp_path / "photos", 60)
    write_style_pictures(tmp_path / "art")
    slowly = {"actors": 2, "gpus_per_actor": 0, "batch_megapixels": 0.001}
    job, out = write_job(tmp_path, shard_images=2, resources=slowly), tmp_path / "out"
    process = atelier.start("run", job)
    wait_for(lambda: (out / "data").is_dir() and any(out.glob("data/*.parquet")), process)
    started = time.monotonic()
    process.send_signal(sent)
    ended = atelier.finish(process)
    assert atelier.wait_until_quiet() == []
    assert time.monotonic() - started < 30
    assert ended.code == code, ended.stderr
    assert AGAIN in ended.stderr
    assert "Traceback" not in ended.stderr
    assert 1 <= len(list(out.glob("data/*.parquet"))) < 30
    assert atelier("run", job).code == 0
    assert len(read_images(out)) == 120
    assert atelier("verify", out).code == 0
