"""Divide the threads of the API, each of which takes at most one connection to the database.

Requests that read wait for a thread, and then never for a connection. So many slow searches and long downloads only
delay each other, but not an image that is sent, nor the outcome for which its client waits.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from anyio.to_thread import current_default_thread_limiter

SUBMIT_THREADS = 4
EXPORT_THREADS = 2
_BACKGROUND_THREADS = 6
_KEPT_CONNECTIONS = SUBMIT_THREADS + EXPORT_THREADS + 5
"""Those of requests that send images, of downloads, and of the commits, outcomes, events, keys and upkeep."""

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """The threads of one kind of work."""

    def __init__(self, number: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(number, name)

    async def run(self, step: Callable[P, T], *args: P.args, **keywords: P.kwargs) -> T:
        """Return what the step returns, which runs in one of the threads."""
        call = partial(step, *args, **keywords)
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    @contextmanager
    def running(self) -> Iterator[None]:
        """End the threads at the end, after the steps that run."""
        try:
            yield
        finally:
            self._executor.shutdown()


def divide_threads(connections: int) -> None:
    """Give requests that read as many threads as there are connections for them; for this event loop."""
    current_default_thread_limiter().total_tokens = connections - _KEPT_CONNECTIONS
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_BACKGROUND_THREADS, "background"))
