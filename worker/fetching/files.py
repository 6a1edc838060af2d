"""Read the file of an image once, and verify that it is the registered file."""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nightread.content_digest import content_of
from nightread.errors import RejectImage, RetryImage
from nightread.paths import ROOT_MARKER, mtime_of, root_path
from nightread.reasons import Reason
from nightread.source_files import NotRegularError, OutsideSourceError, SourceFile, open_source_file
from nightread.sources import ARCHIVES, OMITTED_MEMBER


class ImageLocation(Protocol):
    """The location of one image, as the database has it. Implemented by db.ledger.Claimed and by TrialRequest."""

    @property
    def source(self) -> str:
        """Return the name of the source. This host may mount it at another path than the producer (setting `roots`)."""

    @property
    def root(self) -> str:
        """Return the folder of the source on the producer's host (nightread.paths.root_text), or the URL of a store."""

    @property
    def uri(self) -> str:
        """Return the path below the root, percent-encoded (nightread.paths.uri_of)."""

    @property
    def size(self) -> int:
        """Return the registered size in bytes."""

    @property
    def mtime_ns(self) -> int:
        """Return the registered modification time in nanoseconds."""

    @property
    def marked(self) -> bool:
        """Return whether the source folder held the marker file (nightread.paths.ROOT_MARKER) at registration."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """The bytes of one file, with their identity in `content`, and the registered size and modification time."""

    data: bytes
    content: str
    """Digest of the bytes, as nightread.content_digest computes it."""
    size: int
    mtime_ns: int

    def without_data(self) -> "Fetched":
        """Return a copy without the bytes, so that the files of a batch are not all in memory at the same time."""
        return Fetched(data=b"", content=self.content, size=self.size, mtime_ns=self.mtime_ns)


class FileChangedError(RetryImage):
    """The file differs from the registered one. `size` and `mtime_ns` are those of the present file."""

    def __init__(self, size: int, mtime_ns: int) -> None:
        super().__init__(Reason.STILL_CHANGING, "The file changed after it was registered or while it was read.")
        self.size = size
        self.mtime_ns = mtime_ns


def is_in_store(image: ImageLocation) -> bool:
    """Return whether the image is in a DICOM store (worker.fetching.stores) and not in a folder."""
    return image.root.startswith(("http://", "https://"))


def fetch(image: ImageLocation, *, roots: Mapping[str, Path], max_bytes: int) -> Fetched:
    """Read the file of `image` once, from `roots[source]` if this host mounts the source elsewhere.

    Raises RejectImage (larger than `max_bytes`, a link that leaves the source, not a regular file) and RetryImage
    (file or source missing, no permission, storage error, file changed).
    """
    root = roots.get(image.source) or root_path(image.root)
    try:
        file = open_source_file(root, image.uri)
        try:
            return _read(file, image, max_bytes)
        finally:
            os.close(file.descriptor)
    except OutsideSourceError:
        raise RejectImage(Reason.SYMLINK) from None
    except NotRegularError:
        raise RejectImage(Reason.NOT_A_FILE) from None
    except OSError as error:
        raise _explain_error(error, root, marked=image.marked) from None


def _read(file: SourceFile, image: ImageLocation, max_bytes: int) -> Fetched:
    descriptor, before = file.descriptor, file.status
    if before.st_size > max_bytes:
        raise RejectImage(Reason.TOO_LARGE, f"The file has {before.st_size} bytes; max_file_bytes is {max_bytes}.")
    if image.source == ARCHIVES and os.pread(descriptor, len(OMITTED_MEMBER), 0) == OMITTED_MEMBER:
        detail = f"The file has {before.st_size} bytes, more than max_file_bytes when its archive was unpacked."
        raise RejectImage(Reason.TOO_LARGE, detail)
    data = _read_all(descriptor, before.st_size)
    after = os.fstat(descriptor)
    complete = len(data) == after.st_size and _identity(before) == _identity(after)
    named = _identity(file.link or after)
    if not complete or named != (image.size, image.mtime_ns):
        raise FileChangedError(*named)
    return Fetched(data=data, content=content_of(data), size=image.size, mtime_ns=image.mtime_ns)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, mtime_of(status)


def _read_all(descriptor: int, size: int) -> bytes:
    """Return at most `size` bytes, however much the file grows meanwhile."""
    parts, left = [], size
    while left and (part := os.read(descriptor, left)):  # one read returns at most 2 GiB, and less on some file servers
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _explain_error(error: OSError, root: Path, *, marked: bool) -> Exception:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        if _is_source_gone(root, marked=marked):
            return RetryImage(Reason.SOURCE_GONE)
        return RetryImage(Reason.MISSING_FILE)
    if error.errno == errno.EISDIR:
        return RejectImage(Reason.NOT_A_FILE)
    if error.errno == errno.ELOOP:
        return RejectImage(Reason.SYMLINK, "The symbolic link is part of a circle of links.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return RetryImage(Reason.UNREADABLE)
    return RetryImage(Reason.IO_ERROR, f"Reading the file failed with {errno.errorcode.get(error.errno or 0, '?')}.")


def _is_source_gone(root: Path, *, marked: bool) -> bool:
    """Return whether the source is unavailable: its folder is missing, or is the mount point of an unmounted share.

    A mount point without its share is empty, or lacks the marker file that the source had at registration.
    """
    try:
        if marked:
            return not os.path.lexists(root / ROOT_MARKER)
        with os.scandir(root) as entries:
            return next(entries, None) is None
    except PermissionError:
        return False
    except OSError:
        return True
