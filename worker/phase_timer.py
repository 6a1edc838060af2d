"""Measure how many seconds a batch spends in each phase."""

import time
from collections.abc import Callable


class PhaseTimer:
    """Collect `batches.seconds`, which tells an operator where the time of a batch went.

    A phase inside another one counts for itself only: the outer phase stands still meanwhile.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = 0.0

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by phase, to the microsecond, of everything that has ended."""
        return {phase: round(seconds, 6) for phase, seconds in self._seconds.items()}

    def phase(self, name: str) -> "_Phase":
        """Count the time inside for this phase; a phase that is entered several times adds up."""
        return _Phase(self, name)

    def _begin(self, name: str) -> None:
        self._count()
        self._running.append(name)

    def _end(self) -> None:
        self._count()
        self._running.pop()

    def _count(self) -> None:
        """Give the time since the last change to the phase that was running."""
        now = self._now()
        if self._running:
            phase = self._running[-1]
            self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._since
        self._since = now


class _Phase:
    """A class, since entering one made by `contextmanager` costs several times as much."""

    __slots__ = ("_name", "_timer")

    def __init__(self, timer: PhaseTimer, name: str) -> None:
        self._timer = timer
        self._name = name

    def __enter__(self) -> None:
        self._timer._begin(self._name)  # noqa: SLF001 - two halves of one class

    def __exit__(self, *_error: object) -> None:
        self._timer._end()  # noqa: SLF001
