"""Leaving when asked: SIGTERM ends an actor's process at once, and the driver learns that no content is to blame."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

# What a shell reports of a process that SIGTERM ended.
EXIT_CODE = 128 + signal.SIGTERM


def leave_when_asked(farewell: Callable[[], object]) -> None:
    """On SIGTERM call `farewell`, then end the process. To be called on the main thread.

    A shard is committed whole, so there is nothing to save. A thread does it: Python runs signal handlers between
    two bytecodes of the main thread, which may be deep in a network for long.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.signal(signal.SIGTERM, lambda *_: None)  # without a handler Python writes to no pipe
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_leave, args=(reading, farewell), daemon=True).start()


def _leave(reading: int, farewell: Callable[[], object]) -> None:
    while signal.SIGTERM not in os.read(reading, 1):
        continue
    try:
        farewell()
    except Exception:  # whoever should hear it may be gone, too
        log.info("nobody was there to be told", exc_info=True)
    finally:
        os._exit(EXIT_CODE)
