"""Wait for the signal that ends a process."""

import signal
from _thread import start_new_thread
from threading import Event
from types import FrameType

_CHECK_SECONDS = 0.5


def stop_on_signal() -> Event:
    """Return an event that SIGTERM and Ctrl-C set. Call this in the main thread.

    A thread sets the event, because the handler could wait for the lock of the event forever: the handler runs in the
    main thread, which may have this lock itself, in `wait` or because of a signal that came just before.
    """
    stop = Event()

    def set_stop(_signal: int, _frame: FrameType | None) -> None:
        start_new_thread(stop.set, ())  # threading.Thread has locks of its own, with the same problem

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, set_stop)
    return stop


def wait_for_shutdown(stop: Event) -> None:
    """Return when `stop` is set, by a signal handler or by any thread.

    The wait is repeated with a short timeout because of a race: Python runs a signal handler only between two steps of
    the main thread. A signal that arrives just as the wait begins is handled only when that wait ends.
    """
    while not stop.wait(_CHECK_SECONDS):
        continue
