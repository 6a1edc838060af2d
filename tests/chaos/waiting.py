"""Waiting for what is to happen, with a deadline."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.1


class WaitTimeoutError(Exception):
    """What was waited for did not happen."""


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str, every: float = POLL_SECONDS) -> None:
    """Look again and again until `condition` holds. Raises NotInTimeError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise WaitTimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
