"""Record the image that each worker process is working on, in shared memory that survives the process."""

import mmap
import os
import select
import time

_SLOTS = 1024
_LATEST_DEATH_CELL, _FIRST_READY_CELL = 0, -1
"""The first cell of the shared memory has the time of the latest death, the last cell that of the first ready process.

Between these two, each slot has three: the pid, the work id in flight, and the pid again when the process is ready.
"""
_CELLS_PER_SLOT = 3
CAUTION_NS = 300 * 10**9
"""For 300 s after a death every image gets a trial read first, because images that kill a process often arrive
together."""


class InFlightTable:
    """Shared memory with one slot per worker process. The parent creates it before it forks.

    It has no lock, because the holder of a lock could die. Each process writes only to its own slot; the times of the
    first ready process and of the latest death have several writers, and the last one wins.
    """

    def __init__(self) -> None:
        self._cells = memoryview(mmap.mmap(-1, (2 + _SLOTS * _CELLS_PER_SLOT) * 8)).cast("q")

    def seconds_at_work(self) -> float:
        """Return the seconds since the first process had loaded its networks; 0 if none has yet."""
        ready = self._cells[_FIRST_READY_CELL]
        return (time.monotonic_ns() - ready) / 1e9 if ready else 0.0

    def ready_processes(self) -> int:
        """Count the running processes that have loaded their networks."""
        processes = zip(self._cells[1:-1:_CELLS_PER_SLOT], self._cells[3:-1:_CELLS_PER_SLOT], strict=True)
        return sum(pid == ready and not _is_dead(pid) for pid, ready in processes if pid)

    def slot(self, index: int) -> "Slot":
        """Return the slot of the process with this index. Raises IndexError for more than 1,024 processes."""
        if not 0 <= index < _SLOTS:
            raise IndexError(f"process {index} has no slot: the in-flight table has {_SLOTS} slots")
        return Slot(self._cells, index)


class Slot:
    """The slot of one process, through which it marks images in flight and observes the other processes."""

    def __init__(self, cells: memoryview, index: int) -> None:
        self._cells = cells
        self._pid = _pid_cell(index)
        self._work = self._pid + 1
        self._in_flight = InFlight(cells, self._work)
        self._siblings: dict[int, int] = {}
        self._death_poll = select.poll()

    def take_over(self) -> int | None:
        """Take the slot for this process. Return the work id that a dead predecessor had in flight, or None."""
        work_in_flight = int(self._cells[self._work])
        if self._cells[self._pid]:
            self.record_death()
        # In this order: a process that still sees the old pid must also see the old work id.
        self._cells[self._pid] = os.getpid()
        self._cells[self._work] = 0
        return work_in_flight or None

    def mark_ready(self) -> None:
        """Record that this process has loaded its networks and takes batches from now on."""
        self._cells[_FIRST_READY_CELL] = self._cells[_FIRST_READY_CELL] or time.monotonic_ns()
        self._cells[self._pid + 2] = os.getpid()

    def in_flight(self, work_id: int) -> "InFlight":
        """Return a context manager that marks this work id as in flight; 0 marks none. It cannot be nested."""
        self._in_flight.work_id = work_id
        return self._in_flight

    def record_death(self) -> None:
        """Record that a process died just now."""
        self._cells[_LATEST_DEATH_CELL] = time.monotonic_ns()

    def is_cautious(self) -> bool:
        """Return whether a process of this worker has died within the last 300 s, even if it is not recorded yet."""
        if self._siblings and self._death_poll.poll(0):
            self.watch_siblings()
        died = self._cells[_LATEST_DEATH_CELL]
        return bool(died) and time.monotonic_ns() - died < CAUTION_NS

    def watch_siblings(self) -> None:
        """Watch all running sibling processes, and record a death if one has ended.

        Call this once per batch, because the processes that replace dead ones must be watched too.
        """
        pids = {pid for pid in self._cells[1:-1:_CELLS_PER_SLOT] if pid and pid != os.getpid()}
        alive = {pid for pid in pids if not _is_dead(pid)}
        if alive != pids:  # a sibling died while this process was between two batches
            self.record_death()
        for pid in self._siblings.keys() - alive:
            self._unwatch(pid)
        for pid in alive - self._siblings.keys():
            self._watch(pid)

    def is_dead(self, index: int) -> bool:
        """Return whether the process with this index is dead and no successor has taken its slot yet."""
        pid = self._cells[_pid_cell(index)]
        return bool(pid) and _is_dead(pid)

    def work_in_flight(self, index: int) -> int | None:
        """Return the work id that the process with this index has, or had, in flight; None if there is none."""
        return self._cells[_pid_cell(index) + 1] or None

    def _watch(self, pid: int) -> None:
        try:
            descriptor = _open_pidfd(pid)
        except ProcessLookupError:
            return
        if descriptor is None:  # without pidfd, the death is recorded when the successor takes the slot
            return
        self._siblings[pid] = descriptor
        self._death_poll.register(descriptor, select.POLLIN)

    def _unwatch(self, pid: int) -> None:
        descriptor = self._siblings.pop(pid)
        self._death_poll.unregister(descriptor)
        os.close(descriptor)


class InFlight:
    """The context manager of one slot. It is reused for every image, because a new object would cost twice as much."""

    __slots__ = ("_cells", "_position", "work_id")

    def __init__(self, cells: memoryview, position: int) -> None:
        self._cells = cells
        self._position = position
        self.work_id = 0

    def __enter__(self) -> None:
        self._cells[self._position] = self.work_id

    def __exit__(self, *_error: object) -> None:
        self._cells[self._position] = 0


def _pid_cell(index: int) -> int:
    return 1 + index * _CELLS_PER_SLOT


def _open_pidfd(pid: int) -> int | None:
    """Return a pidfd, or None if the system has none: not Linux, a kernel before 5.3, or the call is forbidden.

    Raises ProcessLookupError if there is no such process.
    """
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        return None


def _is_dead(pid: int) -> bool:
    """Return whether the process has ended. A zombie process counts as dead if the system has pidfd."""
    try:
        descriptor = _open_pidfd(pid)
        if descriptor is None:
            os.kill(pid, 0)
            return False
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    finally:
        os.close(descriptor)
