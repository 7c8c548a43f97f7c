"""Readers that do what the sandbox is there to notice."""

from __future__ import annotations

import os
import time

from tests.fuzz.sandbox import Check


def prepare_broken_readers() -> Check:
    """A check that aborts, hangs, raises or takes eight gigabytes at some cases."""

    def check(case: int) -> str:
        if case == 1:
            os.abort()
        if case == 3:
            time.sleep(60)
        if case == 5:
            raise KeyError("an exception that no reader should let out")
        if case == 7:
            return str(len(bytearray(2**33)))
        return "fine"

    return check
