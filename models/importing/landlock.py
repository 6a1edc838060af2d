"""Restrict the access of a process to files, irrevocably, with Landlock (Linux 5.13 and later, man 7 landlock)."""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_VERSION = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_AND_REMOVE = sum(1 << bit for bit in range(4, 13))
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_READ = _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_BY_ABI = {1: 0, 2: _REFER, 3: _REFER | _TRUNCATE}

_libc = ctypes.CDLL(None, use_errno=True)


def restrict_files(*, read: Iterable[Path], names_only: Iterable[Path], write: Iterable[Path]) -> bool:
    """Restrict this process and its children to these folders; they can no longer start programs.

    Returns False if the kernel does not support it. Requires PR_SET_NO_NEW_PRIVS.
    """
    abi = _libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if abi < 1:
        return False
    handled = _EXECUTE | _WRITE_FILE | _READ | _MAKE_AND_REMOVE | _BY_ABI[min(abi, max(_BY_ABI))]
    attributes = struct.pack("Q", handled)
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        for folders, rights in ((read, _READ), (names_only, _READ_DIR), (write, handled & ~_EXECUTE)):
            for folder in folders:
                _allow(ruleset, folder, rights & handled)
        return bool(_libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Add the rule for one path. A path that does not exist needs no rule."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not path.is_dir():
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, descriptor)
        if _libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0) != 0:
            raise OSError(ctypes.get_errno(), "landlock_add_rule")
    finally:
        os.close(descriptor)
