"""Listings of S3 by the million: pages one after another, several folders at once, read without botocore's parser.

botocore takes 50 ms of one core to read a page of 1,000 objects, which is ten minutes for ten million of them.
"""

from __future__ import annotations

import html
import re
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from queue import Full, Queue
from threading import Event
from typing import Any

from fsspec.asyn import sync as run_on_loop

PAGE_SECONDS = 120
PAGE_OBJECTS = 1000  # the most that S3 gives
# Folders that are listed at once, and pages of each that wait.
FOLDERS = 8
PAGES_AHEAD = 4
PARSED = "before-parse.s3.ListObjectsV2"
OBJECT = re.compile(rb"<Contents>(.*?)</Contents>", re.DOTALL)
FIELD = re.compile(rb"<(Key|Size|ETag|LastModified|StorageClass)>([^<]*)</")
# What could hold such text in another meaning: then botocore reads the page.
ODD = (b"<!", b"<?xml-")

Object = dict[str, Any]
Page = list[Object]


def list_s3_pages(filesystem: Any, bucket: str, prefix: str) -> Iterator[Page]:
    """Objects below a prefix in the order of their keys, a page at a time, as S3 tells of them.

    Where the first page says that there are folders, several are listed at once. Raises what the filesystem raises.
    """
    _speed_up(filesystem)
    first = _ask(filesystem, bucket, prefix, Delimiter="/")
    folders = [found["Prefix"] for found in first.get("CommonPrefixes", [])]
    if len(folders) < 2 or first.get("IsTruncated"):
        yield from _pages(filesystem, bucket, prefix)
        return
    alone = {found["Key"]: found for found in first.get("Contents", [])}

    def read(name: str) -> Callable[[], Iterator[Page]]:
        return lambda: iter([[alone[name]]]) if name in alone else _pages(filesystem, bucket, name)

    # Keys are in the order of their bytes.
    yield from read_ahead(map(read, sorted([*alone, *folders], key=str.encode)))


def read_ahead(sections: Iterator[Callable[[], Iterator[Page]]]) -> Iterator[Page]:
    """Pages of sections in their order; some sections are read at once, each a few pages ahead."""
    stop, waiting = Event(), deque[Queue[Page | Exception | None]]()
    with ThreadPoolExecutor(FOLDERS) as pool:
        try:
            while True:
                for section in _some(sections, FOLDERS - len(waiting)):
                    waiting.append(Queue(PAGES_AHEAD))
                    pool.submit(_fill, waiting[-1], section, stop)
                if not waiting:
                    return
                queue = waiting.popleft()
                while (page := queue.get()) is not None:
                    if isinstance(page, Exception):
                        raise page
                    yield page
        finally:
            stop.set()


def _some(sections: Iterator[Callable[[], Iterator[Page]]], count: int) -> Iterator[Callable[[], Iterator[Page]]]:
    for _, section in zip(range(count), sections, strict=False):
        yield section


def _fill(queue: Queue[Page | Exception | None], section: Callable[[], Iterator[Page]], stop: Event) -> None:
    try:
        for page in section():
            _put(queue, page, stop)
            if stop.is_set():
                return
        _put(queue, None, stop)
    except Exception as error:  # noqa: BLE001 (it is raised where pages are taken)
        _put(queue, error, stop)


def _put(queue: Queue[Page | Exception | None], item: Page | Exception | None, stop: Event) -> None:
    """Wait for room, unless nobody takes pages any more."""
    while not stop.is_set():
        try:
            queue.put(item, timeout=0.5)
        except Full:
            continue
        return


def _pages(filesystem: Any, bucket: str, prefix: str) -> Iterator[Page]:
    token: dict[str, str] = {}
    while True:
        page = _ask(filesystem, bucket, prefix, **token)
        yield page.get("Contents", [])
        if not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def _ask(filesystem: Any, bucket: str, prefix: str, **options: str) -> dict[str, Any]:
    asked = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": PAGE_OBJECTS, **options}
    found: dict[str, Any] = run_on_loop(
        filesystem.loop, filesystem._call_s3, "list_objects_v2", timeout=PAGE_SECONDS, **asked
    )
    return found


def _speed_up(filesystem: Any) -> None:
    """Have listings of a filesystem's client read by `take_objects` first; whatever else asks sees no difference."""
    client = run_on_loop(filesystem.loop, filesystem.set_session)
    client.meta.events.register(PARSED, take_objects, unique_id="atelier-listing")


def take_objects(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Take the objects out of an answer before botocore reads it: they are what botocore would make of them."""
    body = response_dict["body"]
    blocks = OBJECT.findall(body)
    if response_dict["status_code"] != 200 or not blocks or any(odd in body for odd in ODD):
        return
    customized_response_dict["Contents"] = [_object(FIELD.findall(block)) for block in blocks]
    response_dict["body"] = OBJECT.sub(b"", body)


def _object(fields: list[tuple[bytes, bytes]]) -> Object:
    found: Object = {name.decode(): html.unescape(value.decode()) for name, value in fields}
    found["Size"] = int(found["Size"])
    if "LastModified" in found:
        found["LastModified"] = datetime.fromisoformat(found["LastModified"])
    return found
