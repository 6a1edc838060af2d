"""A step in a thread ends before its cancelled task does: afterwards the database is closed."""

import asyncio
from threading import Event

import pytest

from api.whole_step import whole_step


def test_a_cancelled_task_waits_for_its_step() -> None:
    """The step is in progress when the task is cancelled, and ends before the cancellation is raised."""
    began, may_end, ended = Event(), Event(), Event()

    def step() -> None:
        began.set()
        may_end.wait(20)
        ended.set()

    async def cancel_in_progress() -> None:
        task = asyncio.create_task(whole_step(step))
        await asyncio.to_thread(began.wait, 20)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(cancel_in_progress())


def test_it_returns_the_value_and_raises_the_error_of_its_step() -> None:
    """As a call would."""
    assert asyncio.run(whole_step(lambda: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        asyncio.run(whole_step(lambda: 1 // 0))
