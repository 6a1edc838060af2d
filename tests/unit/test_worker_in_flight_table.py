"""The in-flight table survives a process: it shows which image the process had in flight, and that it died."""

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
    """Run a process in this slot with this work id in flight. The yielded function kills it and leaves a zombie."""
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


def test_the_image_in_flight_of_a_dead_process_is_known() -> None:
    """Siblings see it, and the successor in its slot gets it; the successor itself has no image in flight."""
    table = InFlightTable()
    own_slot, other_slot = table.slot(0), table.slot(1)
    own_slot.take_over()
    with process(other_slot, work_id=7) as kill:
        assert (own_slot.is_dead(1), own_slot.work_in_flight(1)) == (False, 7)
        kill()
        assert (own_slot.is_dead(1), own_slot.work_in_flight(1)) == (True, 7)
        assert other_slot.take_over() == 7
        assert (own_slot.is_dead(1), own_slot.work_in_flight(1)) == (False, None)


def test_a_new_slot_records_no_death() -> None:
    """The first start of a worker does not make it cautious."""
    slot = InFlightTable().slot(0)
    assert slot.take_over() is None
    assert not slot.is_cautious()
    assert not slot.is_dead(1)


def test_a_death_makes_the_siblings_cautious_at_once() -> None:
    """Before the dead process is reaped or replaced, and afterwards as well."""
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


def test_a_death_between_two_batches_is_detected() -> None:
    """The process that begins the next batch detects it, even if it never saw the other process alive."""
    table = InFlightTable()
    own_slot = table.slot(0)
    own_slot.take_over()
    with process(table.slot(1)) as kill:
        kill()
        own_slot.watch_siblings()
        assert own_slot.is_cautious()


def test_caution_ends_after_five_minutes() -> None:
    """The time is counted from the latest death."""
    slot = InFlightTable().slot(0)
    slot.take_over()
    slot.record_death()
    assert slot.is_cautious()
    slot._cells[0] -= CAUTION_NS
    assert not slot.is_cautious()


def test_a_successor_makes_all_processes_cautious() -> None:
    """Without pidfd, a death is detected when the successor takes the slot."""
    table = InFlightTable()
    table.slot(1).take_over()
    table.slot(1).take_over()
    assert table.slot(0).is_cautious()


def test_dead_processes_are_found_without_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python offers the call, but an old kernel or a container rejects it."""

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


def test_a_worker_is_at_work_once_a_process_has_loaded_its_networks() -> None:
    """A ready parent is not enough."""
    table = InFlightTable()
    assert table.seconds_at_work() == 0
    table.slot(3).mark_ready()
    assert 0 < table.seconds_at_work() < 60


def test_a_process_is_ready_from_loading_its_networks_until_its_death() -> None:
    """Its successor in the slot is not ready until it has loaded its networks."""
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
