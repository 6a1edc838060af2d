"""Threads of one task end together."""

import threading
import time

import pytest

from nightread.thread_group import ThreadGroup

SECONDS = 10


def test_the_end_of_the_group_stops_its_threads() -> None:
    """Each is told, and waited for."""
    stop, ended = threading.Event(), list[int]()

    def work() -> None:
        stop.wait()
        ended.append(1)

    with ThreadGroup(stop, join_seconds=SECONDS) as group:
        for _ in range(3):
            group.start(work)
    assert stop.is_set()
    assert ended == [1, 1, 1]


def test_the_first_error_stops_the_others_and_is_raised() -> None:
    """In the thread that started them, whatever the others meet on their way out."""
    stop, first_failed = threading.Event(), threading.Event()

    def fail() -> None:
        first_failed.set()
        raise ValueError("first")

    def fail_later() -> None:
        first_failed.wait()
        stop.wait()
        raise ValueError("second")

    def run_both() -> None:
        with ThreadGroup(stop, join_seconds=SECONDS) as group:
            group.start(fail_later)
            group.start(fail)
            assert stop.wait(SECONDS)

    with pytest.raises(ValueError, match="first"):
        run_both()


def test_threads_end_in_the_opposite_order_of_their_start() -> None:
    """A thread may need another that was started before it, until its own end."""
    stop, order = threading.Event(), list[str]()
    with ThreadGroup(stop, join_seconds=SECONDS) as group:
        for name in ("registers", "receives"):
            told = threading.Event()

            def work(name: str = name, told: threading.Event = told) -> None:
                told.wait()
                order.append(name)

            group.start(work, on_stop=told.set)
    assert order == ["receives", "registers"]


def test_threads_that_hang_are_left_after_the_time_of_the_group() -> None:
    """They are daemons: the process can end. The time does not multiply with their number."""
    stop, released = threading.Event(), threading.Event()
    began = time.monotonic()
    with ThreadGroup(stop, join_seconds=0.2) as group:
        for _ in range(20):
            group.start(released.wait)
    assert 0.2 <= time.monotonic() - began < 2
    released.set()


def test_an_error_of_on_stop_leaves_no_thread_running() -> None:
    """The other threads are stopped, and the error is raised."""
    stop, ended = threading.Event(), threading.Event()

    def fail() -> None:
        raise ValueError("on_stop")

    def run_both() -> None:
        with ThreadGroup(stop, join_seconds=SECONDS) as group:
            group.start(lambda: (stop.wait(), ended.set()))
            group.start(stop.wait, on_stop=fail)

    with pytest.raises(ValueError, match="on_stop"):
        run_both()
    assert ended.is_set()


def test_an_error_of_the_caller_stops_the_threads_too() -> None:
    """And it is the one that is raised."""
    stop = threading.Event()

    def fail() -> None:
        with ThreadGroup(stop, join_seconds=SECONDS) as group:
            group.start(stop.wait)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert stop.is_set()
