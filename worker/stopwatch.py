"""Seconds by phase."""

import time


class Stopwatch:
    """What `batches.seconds` tells an operator about where the time of a batch went."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, phase: str, *, minus: float = 0.0) -> None:
        """The time since the last lap was spent on `phase`, but for `minus` seconds."""
        now = time.perf_counter()
        self.add(phase, now - self._last - minus)
        self._last = now

    def add(self, phase: str, seconds: float) -> None:
        """Seconds that were measured elsewhere."""
        self.seconds[phase] = round(self.seconds.get(phase, 0.0) + seconds, 6)
