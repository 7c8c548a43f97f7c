"""Listings by pages: every object once, in order, as botocore reads them, whatever its key."""

from __future__ import annotations

import fsspec
import pytest

from tasks import s3_listing
from tasks.corpus.listing import Root
from tasks.s3_listing import list_s3_pages, read_ahead

KEYS = [
    *(f"a/{number:04d}.jpg" for number in range(23)),
    *(f"b/{number}.jpg" for number in range(3)),
    "a-b.jpg",
    "a.jpg",
    "b&c/<d> 'e\"é.jpg",
    "c/.hidden.jpg",
    "c/.cache/x.jpg",
    "c/%2F+ x.jpg",
    "c/</Contents>.jpg",
    "z.jpg",
]


@pytest.fixture(scope="module")
def bucket(s3_endpoint: str) -> str:
    store = fsspec.filesystem("s3", use_listings_cache=False)
    store.mkdir("listing")
    for key in KEYS:
        store.pipe_file(f"listing/in/{key}", key.encode())
    return "listing"


def test_every_object_is_listed_once_in_the_order_of_its_key(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_listing, "PAGE_OBJECTS", 10)
    store = fsspec.filesystem("s3", use_listings_cache=False)
    pages = list(list_s3_pages(store, bucket, "in/"))
    assert [found["Key"] for page in pages for found in page] == sorted(f"in/{key}" for key in KEYS)
    assert all(len(page) <= 10 for page in pages)
    files = list(Root(store, f"{bucket}/in").walk())
    assert [file.path for file in files] == sorted(key for key in KEYS if "/." not in key)
    assert {file.path: file.bytes for file in files}["a.jpg"] == len("a.jpg")
    assert next(Root(store, f"{bucket}/in/b").walk()).path == "0.jpg"


def test_objects_are_what_botocore_makes_of_them(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = [found for page in list_s3_pages(fsspec.filesystem("s3"), bucket, "in/") for found in page]
    fsspec.filesystem("s3").clear_instance_cache()
    monkeypatch.setattr(s3_listing, "_speed_up", lambda _: None)
    slow = [found for page in list_s3_pages(fsspec.filesystem("s3"), bucket, "in/") for found in page]
    names = ("Key", "Size", "ETag", "LastModified", "StorageClass")
    assert [{name: found[name] for name in names} for found in slow] == quick


def test_a_listing_that_fails_in_a_folder_says_so_and_leaves_no_thread_behind() -> None:
    def broken() -> object:
        yield [{"Key": "a"}]
        raise OSError("reset")

    def endless() -> object:
        while True:
            yield [{"Key": "b"}]

    pages = read_ahead(iter([broken, endless, endless]))  # type: ignore[list-item]
    assert next(pages) == [{"Key": "a"}]
    with pytest.raises(OSError, match="reset"):
        next(pages)
