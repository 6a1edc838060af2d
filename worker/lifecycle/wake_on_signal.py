"""Let the event loop of the parent process notice a signal at once."""

import os
import signal
from contextlib import suppress
from typing import Any


def wake_on_signal(hub: Any) -> None:
    """Wake Celery's event loop (`kombu.asynchronous.Hub`) whenever a signal arrives.

    The handler of SIGTERM only sets a flag, and Python resumes the interrupted wait: without this call the loop sees
    the flag up to a second later. Call it once, in the main thread.
    """
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    hub.add_reader(reader, _empty, reader)


def _empty(reader: int) -> None:
    """Read the numbers of the signals, which are of no further use."""
    with suppress(BlockingIOError):
        os.read(reader, 4096)
