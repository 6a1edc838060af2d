"""SIGTERM and Ctrl-C end a process at whichever moment they come."""

import signal
from collections.abc import Iterator

import pytest

from nightread.shutdown import stop_on_signal


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The handlers of pytest are put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_within_the_wait_sets_the_event(number: signal.Signals) -> None:
    """The main thread has the lock of the event for a moment in each `wait`; `timeout` sends signals twice."""
    stop = stop_on_signal()
    with vars(stop)["_cond"]:
        signal.raise_signal(number)
        signal.raise_signal(number)

    assert stop.wait(10)
