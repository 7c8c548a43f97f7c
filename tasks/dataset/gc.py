"""Orphans: what interrupted or lost work left in a dataset, and nobody will ask for again. Data is never among it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tasks.corpus.listing import written_at
from tasks.dataset.ledger import Ledger, shard_name
from tasks.dataset.stored import OWN, stored_names
from tasks.plan import plan_folder
from tasks.storage import Folder, is_temporary
from tasks.uploads import Upload, abort_upload, list_uploads

KEEP_REPORTS = 10
LEASE = ".lease"


@dataclass(frozen=True)
class Orphan:
    """An object below the root, its size in bytes, when it was written, and why nobody needs it."""

    name: str
    bytes: int
    modified: datetime
    why: str
    upload: Upload | None = None


def find_orphans(ledger: Ledger, older_than: timedelta, keep_reports: int = KEEP_REPORTS) -> list[Orphan]:
    """Orphans that are older than that, and of which the store tells the age: what is young may be at work."""
    limit = datetime.now(UTC) - older_than
    found = ledger.folder.describe("", temporary=True)
    reasons = {
        **_temporary(found),
        **_lost_pieces(ledger, found),
        **_strange_failures(ledger, found),
        **_unused(ledger, found),
        **_old_reports(found, keep_reports),
    }
    times = {name: datetime.fromtimestamp(written_at(found[name]) / 1e9, UTC) for name in reasons}
    # Of what the store does not tell, nobody knows that it is old.
    due = [name for name, written in times.items() if datetime.fromtimestamp(0, UTC) < written < limit]
    orphans = [Orphan(name, found[name]["size"] or 0, times[name], reasons[name]) for name in due]
    uploads = [
        Orphan(upload.name, 0, upload.started, "an upload that was never completed", upload)
        for upload in list_uploads(ledger.folder)
        if upload.started < limit
    ]
    return sorted(orphans, key=lambda orphan: orphan.name) + uploads


def delete_orphans(folder: Folder, orphans: list[Orphan]) -> None:
    """Delete them; one that is gone is no error."""
    for orphan in orphans:
        if orphan.upload is not None:
            abort_upload(folder, orphan.upload)
        else:
            folder.delete(orphan.name)


def _temporary(found: Mapping[str, Any]) -> dict[str, str]:
    return {n: "a write that was cut off" for n in found if is_temporary(n)}


def _lost_pieces(ledger: Ledger, found: Mapping[str, Any]) -> dict[str, str]:
    """Pieces of plans whose place in the chain another driver took."""
    ours = {f"{plan_folder(plan.seq)}/{plan.pieces}" for plan in ledger.chain}
    pieces = [n for n in found if n.startswith("plans/") and posixpath.basename(n).startswith("pieces-")]
    return {n: "pieces of a plan that was never made" for n in pieces if n not in ours}


def _strange_failures(ledger: Ledger, found: Mapping[str, Any]) -> dict[str, str]:
    planned = {f"failures/{shard_name(plan.seq, shard)}" for plan in ledger.chain for shard in range(plan.shards)}
    return {n: "failures of a shard that no plan has" for n in found if n.startswith("failures/") and n not in planned}


def _unused(ledger: Ledger, found: Mapping[str, Any]) -> dict[str, str]:
    """What the dataset's own store holds for no style of any plan; a lease of any age that is due is nobody's.

    Parts and listings of banks stay: the next bank of the same pictures is made of them.
    """
    styles = [style for plan in ledger.chain for style in ledger.forgotten.keep_styles(plan.styles)]
    used = {f"{OWN}/{name}" for name in stored_names(styles)}
    held = [n for n in found if n.startswith(f"{OWN}/") and n not in used and not n.startswith(f"{OWN}/banks/")]
    return {n: "a lease that ran out" if n.endswith(LEASE) else "no plan uses it" for n in held}


def _old_reports(found: Mapping[str, Any], keep: int) -> dict[str, str]:
    names = [n for n in found if n.startswith("reports/") and n.count("/") >= 2]
    kept = set(sorted({n.split("/")[1] for n in names})[-keep:] if keep else ())
    return {n: f"a report older than the last {keep}" for n in names if n.split("/")[1] not in kept}
