"""Divide the threads of the API among its kinds of work. Each thread uses at most one database connection.

A request that reads waits for a thread, but never for a connection. So slow searches and long downloads delay only each
other. They do not delay clients that send images or wait for outcomes.
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
"""Number of database connections that requests that read cannot use. They are reserved for requests that send images,
for downloads, and for five other tasks: commits, outcomes, events, keys and upkeep."""

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """The threads of one kind of work."""

    def __init__(self, number: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(number, name)

    async def run(self, step: Callable[P, T], *args: P.args, **keywords: P.kwargs) -> T:
        """Run the step in one of the threads, and return its result."""
        call = partial(step, *args, **keywords)
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Stop the threads at the end of the context, after their last step."""
        try:
            yield
        finally:
            self._executor.shutdown()


def divide_threads(connections: int) -> None:
    """Set the numbers of threads of this event loop.

    Requests that read get one thread for each connection that is not reserved (_KEPT_CONNECTIONS). Work without
    `Threads` of its own gets six threads.
    """
    current_default_thread_limiter().total_tokens = connections - _KEPT_CONNECTIONS
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_BACKGROUND_THREADS, "background"))
