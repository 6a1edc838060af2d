"""Keep thumbnails and heat maps in a folder on disk, up to a total size."""

import json
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from api.pictures.picture import Picture

log = logging.getLogger(__name__)

FOLDER = "thumbnails"
_FOLDERS = 256
_FILL = 0.9
"""Share of the limit that remains in use after pictures were removed, so that the next pictures fit at once."""
_PARTIAL = ".partial"


class _Entry(NamedTuple):
    used_at: float
    size: int
    path: str


class PictureCache:
    """A folder of pictures. The least recently used pictures are removed first. Safe for several threads and processes.

    The name of a file consists of the id of the image and a digest of the request, so it identifies no patient.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        """Nothing is written before the first picture; with `max_bytes` 0 nothing is kept."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._bytes: int | None = None
        self._lock = threading.Lock()

    def get(self, image_id: int, key: str) -> Picture | None:
        """Return the picture, and mark it as used; None if it is not in the cache or cannot be read."""
        path = _path(self._folder, image_id, key)
        try:
            data = path.read_bytes()
            os.utime(path)
            header, _, content = data.partition(b"\n")
            values = json.loads(header)
            return Picture(content=content, media_type=values["media_type"], details=values["details"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, image_id: int, key: str, picture: Picture) -> None:
        """Keep the picture. If the disk is full or read-only, log a warning."""
        header = json.dumps({"media_type": picture.media_type, "details": picture.details}).encode()
        data = header + b"\n" + picture.content
        if len(data) > self._max_bytes * _FILL:
            return
        try:
            _write(_path(self._folder, image_id, key), data)
        except OSError as error:
            log.warning(
                "a picture cannot be written into the cache (%s)", type(error).__name__, extra={"image": image_id}
            )
            return
        with self._lock:
            self._bytes = None if self._bytes is None else self._bytes + len(data)
            if self._bytes is None or self._bytes > self._max_bytes:
                self._bytes = self._shrink()

    def forget(self, image_ids: Iterable[int]) -> int:
        """Remove all pictures of these images; return their number. Raises OSError if one cannot be removed."""
        removed = 0
        for image_id in image_ids:
            for path in _folder_of(self._folder, image_id).glob(f"{image_id}-*"):
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _shrink(self) -> int:
        """Remove the least recently used pictures if the limit is exceeded. Return the size of the others."""
        kept = sorted(_entries(self._folder), reverse=True)
        total = sum(entry.size for entry in kept)
        if total <= self._max_bytes:
            return total
        while kept and total > self._max_bytes * _FILL:
            entry = kept.pop()
            total -= entry.size
            with suppress(OSError):
                os.unlink(entry.path)  # noqa: PTH108 - a Path for each of thousands of files is slow
        return total


def _folder_of(folder: Path, image_id: int) -> Path:
    return folder / f"{image_id % _FOLDERS:02x}"


def _path(folder: Path, image_id: int, key: str) -> Path:
    return _folder_of(folder, image_id) / f"{image_id}-{key}"


def _write(path: Path, data: bytes) -> None:
    """Write the file under a temporary name, and rename it. It is not synced, since the picture can be made again."""
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}-{uuid4().hex}{_PARTIAL}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(partial, flags, 0o600), "wb") as file:
            file.write(data)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _entries(folder: Path) -> Iterator[_Entry]:
    for index in range(_FOLDERS):
        try:
            with os.scandir(folder / f"{index:02x}") as found:
                for entry in found:
                    with suppress(OSError):
                        status = entry.stat(follow_symlinks=False)
                        yield _Entry(status.st_mtime, status.st_size, entry.path)
        except OSError:
            continue
