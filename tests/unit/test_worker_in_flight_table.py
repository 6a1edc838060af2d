"""What outlives a process: what it had in hand, and that it died."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from worker.isolation.in_flight import CAUTION_NS, InFlightTable, Slot


@contextmanager
def process(slot: Slot, *, work_id: int = 0) -> Iterator[Callable[[], None]]:
    """A process in this seat with this in hand; what is yielded ends it, and leaves it unreaped."""
    ready, signal_end = os.pipe()
    if (pid := os.fork()) == 0:
        _run_in_slot(slot, work_id, signal_end)
    os.read(ready, 1)

    def kill() -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    try:
        yield kill
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(signal_end)


def _run_in_slot(slot: Slot, work_id: int, signal_end: int) -> NoReturn:
    try:
        slot.take_over()
        with slot.in_flight(work_id):
            os.write(signal_end, b".")
            signal.pause()
    finally:
        os._exit(0)


def test_what_a_dead_process_had_in_hand_is_known() -> None:
    """To the others, and to the successor in its seat, who has nothing in hand."""
    table = InFlightTable()
    own_slot, other_slot = table.slot(0), table.slot(1)
    own_slot.take_over()
    with process(other_slot, work_id=7) as kill:
        assert (own_slot.is_dead(1), own_slot.work_in_flight(1)) == (False, 7)
        kill()
        assert (own_slot.is_dead(1), own_slot.work_in_flight(1)) == (True, 7)
        assert other_slot.take_over() == 7
        assert (own_slot.is_dead(1), own_slot.work_in_flight(1)) == (False, None)


def test_nobody_died_in_a_seat_that_is_new() -> None:
    """The first start of a worker is no reason for care."""
    slot = InFlightTable().slot(0)
    assert slot.take_over() is None
    assert not slot.is_cautious()
    assert not slot.is_dead(1)


def test_a_death_makes_the_others_careful_at_once() -> None:
    """Before anybody has reaped the dead one or taken its seat, and after that too."""
    table = InFlightTable()
    own_slot = table.slot(0)
    own_slot.take_over()
    with process(table.slot(1)) as kill:
        own_slot.watch_siblings()
        assert not own_slot.is_cautious()
        kill()
        assert own_slot.is_cautious()
    assert own_slot.is_cautious()
    assert table.slot(2).is_cautious()


def test_a_death_between_two_batches_is_noticed() -> None:
    """By who begins the next one, though it never saw the other_slot alive."""
    table = InFlightTable()
    own_slot = table.slot(0)
    own_slot.take_over()
    with process(table.slot(1)) as kill:
        kill()
        own_slot.watch_siblings()
        assert own_slot.is_cautious()


def test_care_ends_after_five_minutes() -> None:
    """Counted from the latest death."""
    slot = InFlightTable().slot(0)
    slot.take_over()
    slot.record_death()
    assert slot.is_cautious()
    slot._cells[0] -= CAUTION_NS
    assert not slot.is_cautious()


def test_a_successor_makes_everybody_careful() -> None:
    """Where there is no way of following a process, its successor's arrival tells of its death."""
    table = InFlightTable()
    table.slot(1).take_over()
    table.slot(1).take_over()
    assert table.slot(0).is_cautious()


def test_where_no_pidfd_is_to_be_had_the_dead_are_found_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old kernel, or a container that forbids the call: what Python offers, the system refuses."""

    def refused(_pid: int) -> int:
        raise OSError(errno.ENOSYS, "refused")

    monkeypatch.setattr(os, "pidfd_open", refused)
    table = InFlightTable()
    own_slot, other_slot = table.slot(0), table.slot(1)
    with process(other_slot, work_id=5):
        own_slot.watch_siblings()
        assert not own_slot.is_dead(1)
        assert not own_slot.is_cautious()
    assert own_slot.is_dead(1)
    own_slot.watch_siblings()
    assert own_slot.is_cautious()


def test_a_worker_is_at_work_once_a_network_is_loaded() -> None:
    """Not when its parent is ready."""
    table = InFlightTable()
    assert table.seconds_at_work() == 0
    table.slot(3).mark_ready()
    assert 0 < table.seconds_at_work() < 60


def test_a_process_is_ready_from_when_its_network_is_loaded_until_it_dies() -> None:
    """Its successor in the seat starts from the beginning."""
    table = InFlightTable()
    table.slot(0).take_over()
    assert table.ready_processes() == 0
    table.slot(0).mark_ready()
    assert table.ready_processes() == 1
    with process(table.slot(0)) as kill:
        assert table.ready_processes() == 0
        kill()
    table.slot(0).take_over()
    table.slot(0).mark_ready()
    assert table.ready_processes() == 1
