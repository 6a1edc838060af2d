"""Walk a folder tree; count unreadable entries and continue after them."""

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from pathlib import Path

from nightread.errors import StopWork
from nightread.open_beneath import open_beneath
from nightread.paths import join

Entry = tuple[bytes, os.stat_result]
"""Path below the root and lstat result of a regular file or a symbolic link."""

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PIECE_BYTES = 4000  # PATH_MAX is 4096 on Linux; deeper folders are opened piece by piece
_SORTED_NAMES = 5000
"""Number of names that are sorted together; it limits the memory for large folders. File systems list names in any
order. Names usually number the slices of a series, so sorting brings neighbouring slices into the same batch."""
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""Errors of a file or folder that vanished after it was listed. ELOOP: a link replaced it or a folder above it."""


class RootMissing(StopWork):
    """The source folder is missing, not mounted or not readable: mount it or fix its permissions; nothing is lost."""


@dataclass(kw_only=True, slots=True)
class Obstacles:
    """Counts what one scan found in addition to readable files."""

    unreadable_folders: int = 0
    """Folders that could not be listed completely: no permission, or the storage returned an error."""
    unreadable_names: int = 0
    """Entries that are listed, but whose lstat failed."""
    vanished: int = 0
    """Files and folders that were deleted between listing and lstat."""
    hidden_folders: int = 0
    special: int = 0
    """Pipes, sockets and devices."""


def walk(
    root: Path, obstacles: Obstacles, *, skip: frozenset[bytes], visit: Callable[[bytes], None]
) -> Generator[Entry, None, None]:
    """Yield every file and symbolic link below `root`, depth first, with one folder open at a time.

    Links are never followed, so that the walk always ends. Folders whose names begin with a dot are not entered: the
    `.snapshot` of a file server holds the tree many times. `visit` is called with each folder before it is listed.
    Raises RootMissing if the root itself cannot be listed.
    """
    root_fd = _open_root(root)
    try:
        folders = [b""]
        while folders:
            folder = folders.pop()
            try:
                yield from _list(root_fd, folder, folders, obstacles, skip, visit)
            except OSError as error:
                if not folder:
                    raise _missing(root, error) from error
                if error.errno in _VANISHED:
                    obstacles.vanished += 1
                else:
                    obstacles.unreadable_folders += 1
    finally:
        os.close(root_fd)


def is_arrival(mode: int) -> bool:
    """Return whether this is a regular file or a symbolic link; workers reject links that lead out of the folder."""
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _open_root(root: Path) -> int:
    try:
        return os.open(root, _OPEN_FOLDER)
    except OSError as error:
        raise _missing(root, error) from error


def _missing(root: Path, error: OSError) -> RootMissing:
    return RootMissing(f"The source folder {root} cannot be listed ({type(error).__name__}). Check that it is mounted.")


def _list(
    root_fd: int,
    folder: bytes,
    folders: list[bytes],
    obstacles: Obstacles,
    skip: frozenset[bytes],
    visit: Callable[[bytes], None],
) -> Iterator[Entry]:
    folder_fd = _open_below(root_fd, folder)
    try:
        visit(folder)
        with os.scandir(folder_fd) as entries:
            for entry in _by_name(entries):
                path = join(folder, os.fsencode(entry.name))
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    obstacles.vanished += 1
                    continue
                except OSError:
                    obstacles.unreadable_names += 1
                    continue
                if path in skip:
                    continue
                if is_arrival(status.st_mode):
                    yield path, status
                elif not stat.S_ISDIR(status.st_mode):
                    obstacles.special += 1
                elif entry.name.startswith("."):
                    obstacles.hidden_folders += 1
                else:
                    folders.append(path)
    finally:
        os.close(folder_fd)


def _by_name(entries: Iterator["os.DirEntry[str]"]) -> Iterator["os.DirEntry[str]"]:
    """Yield the entries of a folder, sorted 5,000 at a time. Entries listed before an error are yielded too."""
    error: OSError | None = None
    while error is None:
        some: list[os.DirEntry[str]] = []
        try:
            some.extend(islice(entries, _SORTED_NAMES))
        except OSError as raised:
            error = raised
        if not some:
            break
        yield from sorted(some, key=attrgetter("name"))
    if error is not None:
        raise error


def _open_below(root_fd: int, folder: bytes) -> int:
    """Open a folder of any depth and return its descriptor. A link that replaced a part of the path is not followed."""
    fd = os.dup(root_fd)
    for piece in _pieces(folder):
        try:
            below = open_beneath(fd, piece, _OPEN_FOLDER)
        finally:
            os.close(fd)
        fd = below
    return fd


def _pieces(folder: bytes) -> Iterator[bytes]:
    while len(folder) > _PIECE_BYTES:
        cut = folder.rindex(b"/", 0, _PIECE_BYTES)
        yield folder[:cut]
        folder = folder[cut + 1 :]
    if folder:
        yield folder
