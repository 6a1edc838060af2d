"""Run threads that end together."""

import threading
import time
from collections.abc import Callable
from typing import Self

THREAD_NAME = "thread-group"
"""The name of each thread of a group."""


class ThreadGroup:
    """Threads of one task: the first error stops them all and is raised when the group ends.

    They are daemon threads, since a thread that hangs in a dead mount or waits for a silent peer cannot be ended.
    """

    def __init__(self, stop: threading.Event, *, join_seconds: float) -> None:
        """`stop` is set to end all threads; the group then waits up to `join_seconds` in total for them."""
        self._stop = stop
        self._join_seconds = join_seconds
        self._members: list[tuple[threading.Thread, Callable[[], object]]] = []
        self._failures: list[Exception] = []

    def start(self, work: Callable[[], object], *, on_stop: Callable[[], object] = lambda: None) -> None:
        """Run `work` in a thread of its own. `on_stop` is called to end a thread that does not check `stop`."""

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - raised again at the end
                self._failures.append(error)
                self._stop.set()

        thread = threading.Thread(target=run, name=THREAD_NAME, daemon=True)
        thread.start()
        self._members.append((thread, on_stop))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        """Stop all threads and wait for them, the last started first, since a thread may depend on earlier threads."""
        self._stop.set()
        give_up_at = time.monotonic() + self._join_seconds
        for thread, on_stop in reversed(self._members):
            self._call(on_stop)
            thread.join(max(0.0, give_up_at - time.monotonic()))
        if self._failures:
            raise self._failures[0]

    def _call(self, on_stop: Callable[[], object]) -> None:
        """Call `on_stop`. Keep its error instead of raising it, so that the other threads are stopped too."""
        try:
            on_stop()
        except Exception as error:  # noqa: BLE001 - raised again at the end
            self._failures.append(error)
