"""Uploads to S3 that were begun in parts and never completed: nobody sees them, and they are paid for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.storage import Folder, is_s3


@dataclass(frozen=True)
class Upload:
    """An upload that is open: the object's name below the folder, its id, when it was begun."""

    name: str
    id: str
    started: datetime


def list_uploads(folder: Folder) -> Iterator[Upload]:
    """Open uploads below a folder; none where the store has no such thing, or does not let us list them."""
    if not is_s3(folder.filesystem):
        return
    bucket, prefix, _ = folder.filesystem.split_path(folder.within(""))
    markers: dict[str, Any] = {}
    while True:
        try:
            page = folder.filesystem.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **markers)
        except OSError:  # NotImplemented of small servers, AccessDenied of narrow policies
            return
        for upload in page.get("Uploads") or []:
            yield Upload(upload["Key"].removeprefix(prefix), upload["UploadId"], upload["Initiated"])
        if not page.get("IsTruncated"):
            return
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def abort_upload(folder: Folder, upload: Upload) -> None:
    """Give an upload up, with the parts that the store keeps of it."""
    bucket, key, _ = folder.filesystem.split_path(folder.within(upload.name))
    folder.filesystem.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload.id)
