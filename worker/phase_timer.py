"""Measure how many seconds a batch spends in each phase."""

import time
from collections.abc import Callable, Sequence


class PhaseTimer:
    """Measures the seconds per phase that are stored in the column `batches.seconds`.

    While a nested phase runs, the time of the outer phase does not count.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter, *, phases: Sequence[str] = ()) -> None:
        """Create a timer. The `phases` have 0 seconds if they never run."""
        self._now = now
        self._seconds = dict.fromkeys(phases, 0.0)
        self._running: list[str] = []
        self._since = 0.0

    @property
    def seconds(self) -> dict[str, float]:
        """Return the seconds by phase, rounded to microseconds.

        The time since the latest begin or end of a phase is not counted yet.
        """
        return {phase: round(seconds, 6) for phase, seconds in self._seconds.items()}

    def phase(self, name: str) -> "_Phase":
        """Return a context manager that adds the time inside it to this phase."""
        return _Phase(self, name)

    def _begin(self, name: str) -> None:
        self._count()
        self._running.append(name)

    def _end(self) -> None:
        self._count()
        self._running.pop()

    def _count(self) -> None:
        """Count the time since the latest begin or end of a phase for the innermost running phase."""
        now = self._now()
        if self._running:
            phase = self._running[-1]
            self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._since
        self._since = now


class _Phase:
    """The context manager of one phase. It is a class, as `contextlib.contextmanager` is several times slower."""

    __slots__ = ("_name", "_timer")

    def __init__(self, timer: PhaseTimer, name: str) -> None:
        self._timer = timer
        self._name = name

    def __enter__(self) -> None:
        self._timer._begin(self._name)  # noqa: SLF001 - both classes belong together

    def __exit__(self, *_error: object) -> None:
        self._timer._end()  # noqa: SLF001
