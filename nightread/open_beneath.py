"""Open files below a folder, without following any link on the way."""

import ctypes
import errno
import os
import stat
import struct
import sys
from functools import cache

_OPENAT2 = 437
"""The number of the system call on every architecture that Python runs on (Linux 5.6 and later, man 2 openat2)."""
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_OPEN_HOW_BYTES = ctypes.c_size_t(24)
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_MISSING_CALL = (errno.ENOSYS, errno.EPERM)
"""Errors where openat2 cannot be used: kernels before 5.6 and gVisor do not have it, and the seccomp filters of older
container engines forbid it."""
_ATTEMPTS = 64
"""The call is repeated this often after EAGAIN, because a folder may have been renamed at this moment. EAGAIN may also
mean that another program, such as Samba, holds a lease on the file; the error then lasts for up to 45 s
(/proc/sys/fs/lease-break-time)."""
_PATH_MAX = 4096
"""Longest path that Linux accepts in one call, in bytes, with its final zero."""

_libc = ctypes.CDLL(None, use_errno=True)


def open_folder(path: os.PathLike[str] | str) -> int:
    """Return a descriptor of a folder that an operator configured. Links in this path are followed."""
    return os.open(path, _FOLDER)


def open_beneath(folder: int, path: bytes, flags: int) -> int:
    """Open the relative `path` below the descriptor `folder`, for reading.

    Raises OSError, with ELOOP if any part of the path is a symbolic link; `..` must not be in the path.
    """
    opener = _open_at_once if _has_openat2() else _open_step_by_step
    return opener(folder, path, flags | os.O_CLOEXEC)


def status_beneath(folder: int, path: bytes) -> os.stat_result:
    """Return the status of a name below the descriptor `folder`; a link is not followed. Raises OSError."""
    above, _, name = path.rpartition(b"/")
    if not above:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    descriptor = open_beneath(folder, above, _FOLDER)
    try:
        return os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    finally:
        os.close(descriptor)


@cache
def _has_openat2() -> bool:
    """Return whether openat2 can be used.

    It is called with invalid arguments, so it always fails: with an error of _MISSING_CALL only if it cannot be used.
    """
    if sys.platform != "linux":
        return False
    _libc.syscall(_OPENAT2, -1, None, None, ctypes.c_size_t(0))
    return ctypes.get_errno() not in _MISSING_CALL


def _open_at_once(folder: int, path: bytes, flags: int) -> int:
    how, error = _open_how(flags), 0
    for _ in range(_ATTEMPTS):
        descriptor: int = _libc.syscall(_OPENAT2, folder, path, how, _OPEN_HOW_BYTES)
        if descriptor >= 0:
            return descriptor
        error = ctypes.get_errno()
        if error not in (errno.EINTR, errno.EAGAIN):
            break
    raise OSError(error, os.strerror(error))


@cache
def _open_how(flags: int) -> bytes:
    """Return the C structure open_how, an argument of openat2."""
    return struct.pack("QQQ", flags, 0, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)


def _open_step_by_step(folder: int, path: bytes, flags: int) -> int:
    """Open one folder after the other, each below the one before, so that a link in place of a folder is noticed."""
    if len(path) >= _PATH_MAX:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    *folders, name = path.split(b"/")
    current = os.dup(folder)
    try:
        for step in folders:
            below = _open_step(current, step, _FOLDER)
            os.close(current)
            current = below
        return _open_step(current, name, flags)
    finally:
        os.close(current)


def _open_step(folder: int, name: bytes, flags: int) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)
    except NotADirectoryError:  # O_DIRECTORY reports a link like any other name that is not a folder
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise
