"""Open the files of a source, and never a file outside of it."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from nightread.open_beneath import open_beneath, open_folder
from nightread.paths import path_of, relative_of

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
"""With these flags, opening a pipe does not block, and a terminal does not become the controlling terminal of the
process."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY


class OutsideSourceError(Exception):
    """The path leads out of its source by a symbolic link, or the link leads to a folder."""


class NotRegularError(Exception):
    """The name is a folder, a pipe, a socket or a device."""


class LargeFileError(Exception):
    """The file is larger than the limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """An open regular file of a source. The caller closes the descriptor."""

    descriptor: int
    status: os.stat_result
    link: os.stat_result | None
    """The status of the symbolic link itself; None if the name is no link."""


def open_source_file(root: Path, uri: str) -> SourceFile:
    """Open the file with this URI in the source folder `root`, whose own path may contain symbolic links.

    A link below the root is followed if its target lies in the source, and the file is then opened below the root
    without following any link. Whatever is changed between these steps, no file outside of the source is opened.
    Raises OutsideSourceError, NotRegularError and OSError.
    """
    folder = open_folder(root)
    try:
        try:
            return _regular(open_beneath(folder, relative_of(uri), _FLAGS), None)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        return _open_by_link(folder, root, uri)
    finally:
        os.close(folder)


def read_source_file(root: Path, uri: str, *, max_bytes: int) -> bytes:
    """Return the bytes of the file; if it grows meanwhile, at most one byte more than its size when it was opened.

    Raises LargeFileError, and the errors of open_source_file.
    """
    file = open_source_file(root, uri)
    size = file.status.st_size
    with os.fdopen(file.descriptor, "rb") as stream:
        # Python allocates as many bytes as are asked for, so this must not be `max_bytes`.
        data = stream.read(size + 1) if size <= max_bytes else None
    if data is None or len(data) > max_bytes:
        raise LargeFileError
    return data


def _open_by_link(folder: int, root: Path, uri: str) -> SourceFile:
    path = path_of(root, uri)
    parent, name = os.path.split(path)
    above = open_beneath(folder, _target(root, parent), _FOLDER)
    try:
        status = os.stat(name, dir_fd=above, follow_symlinks=False)
    finally:
        os.close(above)
    descriptor = open_beneath(folder, _target(root, path), _FLAGS)
    return _regular(descriptor, status if stat.S_ISLNK(status.st_mode) else None)


def _target(root: Path, path: bytes) -> bytes:
    """Return where the path leads, relative to the root.

    A link may be changed at any moment, so open the returned path without following links.
    """
    target, inside = os.path.realpath(path), os.path.realpath(os.fsencode(root))
    if target == inside:
        return b"."
    if not target.startswith(inside.rstrip(b"/") + b"/"):
        raise OutsideSourceError
    return target[len(inside.rstrip(b"/")) + 1 :]


def _regular(descriptor: int, link: os.stat_result | None) -> SourceFile:
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return SourceFile(descriptor=descriptor, status=status, link=link)
    os.close(descriptor)
    if link is not None and stat.S_ISDIR(status.st_mode):
        raise OutsideSourceError
    raise NotRegularError
