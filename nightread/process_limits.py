"""Limit the memory of a disposable process, which reads files that may kill it, and end it together with its parent."""

import ctypes
import resource
import signal
from pathlib import Path

_PARENT_DEATH = 1  # PR_SET_PDEATHSIG, linux/prctl.h
_STATM = Path("/proc/self/statm")


def limit_memory(extra_bytes: int) -> None:
    """Limit the additional memory of this process, and forbid core files, which would contain pixels of a patient."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _STATM.exists():
        used = int(_STATM.read_text("ascii").split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = used + extra_bytes
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies. Only Linux has this."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PARENT_DEATH, signal.SIGKILL)
