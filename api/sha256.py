"""Compute the `sha256` of images from their files, because the database stores only BLAKE3-256 for new images."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from api.original_files import NoOriginalError, read_file
from api.originals import place_of
from db.engine import Database
from db.queries.originals import original, total_bytes
from nightread.content_digest import former_content_of
from nightread.settings import Settings

Row = dict[str, Any]

SMALL_FILE_BYTES = 64 * 1024**2
"""Largest file for which the API computes the SHA-256 when a client reads one image. It takes less than 50 ms."""
MOST_IMAGES = 1000
MOST_BYTES = 1024**3
"""`nightread query` computes SHA-256 only if there are at most MOST_IMAGES rows, and at most MOST_BYTES to read. This
takes a few seconds at most. With --with-sha256 there is no limit."""


def fill_sha256(database: Database, settings: Settings, row: Row, *, max_bytes: int = MOST_BYTES) -> Row:
    """Return the row with the SHA-256 of its file, if the file is in a folder of this host and has not changed.

    A row that has a SHA-256, or whose image was never read, is returned unchanged.
    """
    if row["sha256"] is not None or row["content"] is None:
        return row
    image = original(database, row["image_id"])
    try:
        if image is None or (place := place_of(image, settings)).in_store:
            return row
        return {**row, "sha256": former_content_of(read_file(place, max_bytes=max_bytes))}
    except NoOriginalError:
        return row


def with_sha256(database: Database, settings: Settings, rows: Iterator[Row]) -> Iterator[Row]:
    """Yield all rows as `fill_sha256` returns them. Rows of one image (its frames) must be adjacent."""
    filled: Row | None = None
    for row in rows:
        if filled is None or filled["image_id"] != row["image_id"]:
            filled = fill_sha256(database, settings, row, max_bytes=settings.max_file_bytes)
        yield {**row, "sha256": filled["sha256"]}


def with_sha256_of_few(database: Database, settings: Settings, rows: Iterator[Row]) -> tuple[Iterator[Row], bool]:
    """Fill in the SHA-256 of each row if there are few rows. Return the rows, and whether it was filled in.

    Nothing is filled in if there are more than MOST_IMAGES rows, or if more than MOST_BYTES would have to be read.
    """
    first = list(islice(rows, MOST_IMAGES + 1))
    unknown = {row["image_id"] for row in first if row["content"] is not None and row["sha256"] is None}
    if len(first) > MOST_IMAGES or total_bytes(database, sorted(unknown)) > MOST_BYTES:
        return chain(first, rows), False
    return with_sha256(database, settings, iter(first)), True
