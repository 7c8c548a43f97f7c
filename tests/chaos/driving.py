"""A driver: the command line in a process forked from one that has imported everything, to save its start."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys

import pipelines.stylize  # noqa: F401  # what the command line imports when it needs it
import tasks.summary  # noqa: F401
from pipelines.cli import main


def drive(words: list[str], log: str) -> None:
    """Run `atelier WORDS`, with both outputs in a file."""
    os.setsid()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    # A driver's report shows pictures, too, and is not to be slowed; a marked one would kill or hang it all the same.
    sys.modules["sitecustomize"].SECONDS = 0.0
    faulthandler.register(signal.SIGUSR1)  # says where it is, when asked
    sys.argv = ["atelier", *words]
    main()
