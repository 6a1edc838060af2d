"""A monotonic clock for tests: it runs as usual, and a test can move it forward."""

import time
from dataclasses import dataclass


@dataclass
class MovableMonotonic:
    """Seconds of `time.monotonic`, plus all that the test added."""

    added_seconds: float = 0.0

    def __call__(self) -> float:
        """Return the present."""
        return time.monotonic() + self.added_seconds

    def advance(self, seconds: float) -> None:
        """Move the present forward."""
        self.added_seconds += seconds
