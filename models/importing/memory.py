"""Limit the memory of this process to what its current step needs."""

import os
import resource
import sys
from pathlib import Path

_MIB = 1024**2
INSPECTION_BYTES = 768 * _MIB
"""The memory limit for the inspection, before Keras is imported: Python, NumPy and h5py, and 64 MiB of description."""
_LOADING_BYTES = 256 * _MIB
"""How much memory loading a network may take, in addition to its weights."""
_COPIES_OF_WEIGHTS = 6
"""The memory limit for loading includes this many times the size of the weights.

Keras holds the weights of the file, the initial weights of the network, and temporary arrays of its initializers.
"""
_COPIES_OF_GRAPH = 4
"""The memory limit for parsing includes this many times the size of the file: its bytes, its objects and copies."""
_BYTES_PER_PROCESSOR = 32 * _MIB
"""The memory limit for loading includes this for each processor: libraries start threads, and each has a stack."""


def limit_memory(count: int | None) -> None:
    """Limit the data of this process to `count` bytes, or to the hard limit of the process if `count` is None."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = hard if count is None else count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def limit_memory_for_loading(weights_bytes: int) -> None:
    """Limit the memory of this process to what it uses already, plus what loading a network of this size needs."""
    used = _used()
    if used is not None:
        threads = (os.cpu_count() or 1) * _BYTES_PER_PROCESSOR
        limit_memory(used + _LOADING_BYTES + threads + _COPIES_OF_WEIGHTS * weights_bytes)


def limit_memory_for_parsing(file_bytes: int) -> None:
    """Limit the memory for reading a graph of this size into objects, before a library that can run it is imported."""
    limit_memory(INSPECTION_BYTES + _COPIES_OF_GRAPH * file_bytes)


def _used() -> int | None:
    """Return the bytes that count against the limit."""
    if sys.platform != "linux":
        return None
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), None)
