"""What a call costs, as Linux tells it of the whole process."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_Result = TypeVar("_Result")


class Cost(NamedTuple):
    """Of one call."""

    seconds: float
    grown_bytes: int
    """Peak resident memory during the call, less what there was before."""
    peak_bytes: int


def measured(call: Callable[[], _Result]) -> tuple[_Result, Cost]:
    """What `call` gives, and its cost."""
    _CLEAR.write_text("5")  # VmHWM, the peak, counts from here
    before, begun = _kilobytes("VmRSS"), time.perf_counter()
    answer = call()
    seconds, peak = time.perf_counter() - begun, _kilobytes("VmHWM")
    return answer, Cost(seconds, (peak - before) * 1024, peak * 1024)


def _kilobytes(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])
