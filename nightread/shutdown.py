"""Wait for the signal that ends a process."""

from threading import Event

_CHECK_SECONDS = 0.5


def wait_for_shutdown(stop: Event) -> None:
    """Return when `stop` is set, by a signal handler or by any thread.

    The wait is repeated with a short timeout because of a race: Python runs a signal handler only between two steps of
    the main thread. A signal that arrives just as the wait begins is handled only when that wait ends.
    """
    while not stop.wait(_CHECK_SECONDS):
        continue
