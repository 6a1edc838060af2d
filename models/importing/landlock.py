"""Restrict the access of a process to files, ports, sockets and processes, irrevocably, with Landlock (man 7 landlock).

Each version of the kernel's interface (ABI) can restrict more. Version 1 (Linux 5.13) restricts access to files, 2
moves between folders, 3 the truncation of files, 4 (Linux 6.7) TCP ports, 5 device control, and 6 (Linux 6.12) abstract
sockets and signals.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_VERSION = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_AND_REMOVE = sum(1 << bit for bit in range(4, 13))
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1
_READ = _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_PORTS_ABI, _SCOPES_ABI = 4, 6

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Landlocked:
    """The restrictions that are active; an old kernel supports only some of them."""

    files: bool
    ports: bool
    """Whether binding and connecting of TCP ports is refused."""
    scopes: bool
    """Whether signals and abstract sockets to processes outside of the sandbox are refused."""


NOTHING = Landlocked(files=False, ports=False, scopes=False)


def restrict(*, read: Iterable[Path], names_only: Iterable[Path], write: Iterable[Path]) -> Landlocked:
    """Restrict this process and its children to these folders; they can no longer start programs.

    Requires PR_SET_NO_NEW_PRIVS.
    """
    abi = _libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if abi < 1:
        return NOTHING
    handled = _of_files(abi)
    attributes = _attributes(abi, handled)
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return NOTHING
    try:
        for folders, rights in ((read, _READ), (names_only, _READ_DIR), (write, handled & ~(_EXECUTE | _IOCTL_DEVICE))):
            for folder in folders:
                _allow(ruleset, folder, rights & handled)
        works = _libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)
    return Landlocked(files=works, ports=works and abi >= _PORTS_ABI, scopes=works and abi >= _SCOPES_ABI)


def _of_files(abi: int) -> int:
    newer = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEVICE))
    return _EXECUTE | _WRITE_FILE | _READ | _MAKE_AND_REMOVE | sum(right for since, right in newer if abi >= since)


def _attributes(abi: int, handled: int) -> bytes:
    """Return struct landlock_ruleset_attr, with the length that it has in this version of the interface."""
    words = [handled]
    if abi >= _PORTS_ABI:
        words.append(_BIND_TCP | _CONNECT_TCP)
    if abi >= _SCOPES_ABI:
        words.append(_ABSTRACT_SOCKETS | _SIGNALS)
    return struct.pack(f"{len(words)}Q", *words)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Add the rule for one path. A path that does not exist, or that this user cannot reach, needs no rule."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, descriptor)
        if _libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0) != 0:
            raise OSError(ctypes.get_errno(), "landlock_add_rule")
    finally:
        os.close(descriptor)
