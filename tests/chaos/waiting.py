"""Wait for a condition, with a deadline."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.1


class WaitTimeoutError(Exception):
    """The condition did not become true before the deadline."""


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str, every: float = POLL_SECONDS) -> None:
    """Check `condition` repeatedly until it is true. Raises WaitTimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise WaitTimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
