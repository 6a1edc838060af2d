"""Define monotonic clocks for tests: one runs, one stands still, and a test can move both."""

import time
from dataclasses import dataclass


@dataclass
class MovableMonotonic:
    """Returns the seconds of `time.monotonic` plus the seconds that the test added."""

    added_seconds: float = 0.0

    def __call__(self) -> float:
        """Return the current value in seconds."""
        return time.monotonic() + self.added_seconds

    def advance(self, seconds: float) -> None:
        """Add seconds to the clock."""
        self.added_seconds += seconds


@dataclass
class ManualMonotonic:
    """Stands still until a test sets `now`, in seconds."""

    now: float = 100.0

    def __call__(self) -> float:
        """Return the current value in seconds."""
        return self.now
