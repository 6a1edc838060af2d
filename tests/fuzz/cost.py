"""Measure the time and the peak memory of a call, from /proc (Linux only)."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_Result = TypeVar("_Result")


class Cost(NamedTuple):
    """The cost of one call."""

    seconds: float
    grown_bytes: int
    """Peak resident memory during the call, minus the resident memory before it."""
    peak_bytes: int


def measured(call: Callable[[], _Result]) -> tuple[_Result, Cost]:
    """Run `call`, and return its result and its cost."""
    _CLEAR.write_text("5")  # resets VmHWM, the peak of resident memory
    before, begun = _kilobytes("VmRSS"), time.perf_counter()
    result = call()
    seconds, peak = time.perf_counter() - begun, _kilobytes("VmHWM")
    return result, Cost(seconds, (peak - before) * 1024, peak * 1024)


def _kilobytes(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])
