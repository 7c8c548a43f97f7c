"""Copies of banks on a node: one a bank, and none that nobody has opened for long."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.banks.kept import UNUSED_SECONDS, bank_name, open_bank
from tasks.banks.packed import LEFT_OUT, TEXTS, table_key, write_table
from tasks.storage import Folder


def put_bank(store: Folder, name: str) -> str:
    """A bank of one style without tensors; gives its key."""
    row = {"identity": name, "name": name, "representation": "r", "references": "[]"}
    table = pa.Table.from_pylist([row], schema=TEXTS).replace_schema_metadata({LEFT_OUT: json.dumps([])})
    key = table_key(table)
    store.publish(bank_name("adain", key), write_table(table))
    return key


def test_copies_that_nobody_opened_for_long_go_when_another_comes(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    copies, store = tmp_path / "atelier" / "banks", Folder(f"{s3}/store")
    old, used, new = (put_bank(store, name) for name in ("old", "used", "new"))
    mapped = open_bank(store, "adain", old)
    open_bank(store, "adain", used)
    long_ago = time.time() - UNUSED_SECONDS - 60
    for key in (old, used):
        os.utime(copies / f"{key}.arrow", (long_ago, long_ago))
    open_bank(store, "adain", used)  # which makes it used again
    open_bank(store, "adain", new)
    assert {path.stem for path in copies.glob("*.arrow")} == {used, new}
    assert mapped.identities == ["old"]
    assert open_bank(store, "adain", old).identities == ["old"]
