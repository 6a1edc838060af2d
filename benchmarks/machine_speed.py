"""Measure the speed of the machine during a benchmark, since a shared machine may run at half speed for seconds."""

import threading
import time
from types import TracebackType
from typing import Self

_LOOPS = 10_000
_PAUSE_SECONDS = 0.05
_best = float("inf")


class MachineSpeed:
    """Measures a fixed loop 20 times a second by the processor time of its thread, so that waiting does not count."""

    def __init__(self) -> None:
        self._samples: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def speed(self) -> float:
        """Mean speed of the samples, relative to the best speed that this process has measured."""
        return _best * len(self._samples) / sum(self._samples) if self._samples else 1.0

    def _sample(self) -> None:
        global _best  # noqa: PLW0603 - one machine, one best speed
        while not self._stop.wait(_PAUSE_SECONDS):
            started = time.thread_time()
            total = 0
            for number in range(_LOOPS):
                total += number
            spent = time.thread_time() - started
            self._samples.append(spent)
            _best = min(_best, spent)
