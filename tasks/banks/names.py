"""Names and places of a bank's pictures: files of a folder, rows of tables."""

from __future__ import annotations

import posixpath

from tasks.labelled.place import RowPlace


def name_style(content_id: str) -> str:
    """A style's name: a picture's path without its suffix; a row of a table, `art.parquet#12`, as it is."""
    return content_id if "#" in posixpath.basename(content_id) else posixpath.splitext(content_id)[0]


def place_picture(content_id: str, column: str | None) -> str:
    """Place of a picture as a reference names it, relative to its source; `column` is a table's, where it is named."""
    file, mark, row = content_id.rpartition("#")
    return RowPlace(file, int(row), column).uri if mark and row.isdigit() else content_id


def find_reference(source: str, image: str | None) -> str | None:
    """A reference's picture again, below the source where it is relative."""
    if image is None or not source or "://" in image or image.startswith("/"):
        return image
    return posixpath.join(source, image)
