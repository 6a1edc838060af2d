"""From a place in the ledger to bytes."""

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from nightread.errors import RejectImage, RetryImage
from nightread.paths import ROOT_MARKER, mtime_of, path_of, root_path
from nightread.reasons import Reason

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0)


class ImageLocation(Protocol):
    """Where one image is, as the ledger has it: db.ledger.Claimed."""

    @property
    def source(self) -> str:
        """Its name; this host may have it elsewhere than the producer."""

    @property
    def root(self) -> str:
        """Where the producer has it (nightread.paths.root_text), or the URL of a store."""

    @property
    def uri(self) -> str:
        """The path below (nightread.paths.uri_of)."""

    @property
    def size(self) -> int:
        """Bytes, as registered."""

    @property
    def mtime_ns(self) -> int:
        """As registered."""

    @property
    def marked(self) -> bool:
        """Whether the source's folder held nightread.paths.ROOT_MARKER."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """The bytes of one file, read once, with what identifies them."""

    data: bytes
    sha256: str
    size: int
    mtime_ns: int

    def without_data(self) -> "Fetched":
        """What identifies the bytes, once they have been decoded: a batch's files are not all in memory at once."""
        return Fetched(data=b"", sha256=self.sha256, size=self.size, mtime_ns=self.mtime_ns)


class FileChangedError(RetryImage):
    """The file is not the one that was registered; `size` and `mtime_ns` say what lies there now."""

    def __init__(self, size: int, mtime_ns: int) -> None:
        super().__init__(Reason.STILL_CHANGING, "The file changed between its registration and the end of its reading.")
        self.size = size
        self.mtime_ns = mtime_ns


def lies_in_store(image: ImageLocation) -> bool:
    """Whether it is a store's (worker.fetching.stores) and no file."""
    return image.root.startswith(("http://", "https://"))


def fetch(image: ImageLocation, *, roots: Mapping[str, Path], max_bytes: int) -> Fetched:
    """Read the file of `image` once.

    Raises RejectImage (too large, a link that leaves the source, not a file) and RetryImage (file or whole source
    gone, unreadable, storage error, changed meanwhile).
    """
    root = roots.get(image.source) or root_path(image.root)
    path = path_of(root, image.uri)
    try:
        descriptor, link = _open(path, root)
        try:
            return _read(descriptor, image, link, max_bytes)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _why_not(error, root, marked=image.marked) from None


def _open(path: bytes, root: Path) -> tuple[int, os.stat_result | None]:
    """A descriptor, and what is registered of the name where it is a link: a link's identity is its own."""
    try:
        return os.open(path, _FLAGS), None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    target = os.path.realpath(path)
    inside = os.path.realpath(os.fsencode(root))
    if not target.startswith(inside + b"/") or os.path.isdir(target):  # noqa: PTH112 - bytes: names need not be UTF-8
        raise RejectImage(Reason.SYMLINK)
    return os.open(target, _FLAGS), os.lstat(path)


def _read(descriptor: int, image: ImageLocation, link: os.stat_result | None, max_bytes: int) -> Fetched:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise RejectImage(Reason.NOT_A_FILE)
    if before.st_size > max_bytes:
        raise RejectImage(Reason.TOO_LARGE, f"The file has {before.st_size} bytes; max_file_bytes is {max_bytes}.")
    data = _read_all(descriptor, before.st_size)
    after = os.fstat(descriptor)
    complete = len(data) == after.st_size and _identity(before) == _identity(after)
    named = _identity(link or after)
    if not complete or named != (image.size, image.mtime_ns):
        raise FileChangedError(*named)
    return Fetched(data=data, sha256=sha256(data).hexdigest(), size=image.size, mtime_ns=image.mtime_ns)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, mtime_of(status)


def _read_all(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size + 1)
    if len(data) >= size:
        return data
    parts = [data]
    while part := os.read(descriptor, size + 1):  # the kernel hands out at most 2 GiB at once, file servers less
        parts.append(part)
    return b"".join(parts)


def _why_not(error: OSError, root: Path, *, marked: bool) -> Exception:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        if _is_gone(root, marked=marked):
            return RetryImage(Reason.SOURCE_GONE)
        return RetryImage(Reason.MISSING_FILE)
    if error.errno == errno.EISDIR:
        return RejectImage(Reason.NOT_A_FILE)
    if error.errno == errno.ELOOP:
        return RejectImage(Reason.SYMLINK, "The symbolic link leads in a circle.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return RetryImage(Reason.UNREADABLE)
    return RetryImage(Reason.IO_ERROR, f"Reading the file failed with {errno.errorcode.get(error.errno or 0, '?')}.")


def _is_gone(root: Path, *, marked: bool) -> bool:
    """Whether the source is not there: its folder is missing, or looks as the mount point of a share that is away.

    Such a folder is empty, or, whatever else lies there, lacks the marker that was seen in it.
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
