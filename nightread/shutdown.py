"""Waiting for the signal that ends a process."""

from threading import Event

_HEED_SECONDS = 0.5


def wait_for_shutdown(stop: Event) -> None:
    """Return once `stop` is set, by a signal's handler or by any thread.

    A signal that comes in the very moment in which the main thread begins to wait is handled only when that wait ends:
    Python looks for signals before and after, and the kernel has delivered it by then.
    """
    while not stop.wait(_HEED_SECONDS):
        continue
