"""Run a step in a thread to its end, even if the task that waits for it is cancelled."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def whole_step(step: Callable[[], T]) -> T:
    """Return the result of the step. A cancellation is raised only after the step has ended.

    The thread cannot be stopped, and the caller may close the database after the cancellation.
    """
    running = asyncio.get_running_loop().run_in_executor(None, step)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
