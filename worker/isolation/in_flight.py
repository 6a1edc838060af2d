"""What each process of this worker has in hand, in memory that outlives the process."""

import mmap
import os
import select
import time

_SLOTS = 1024
_LATEST_DEATH, _FIRST_READY = 0, -1
"""The cells before and after the seats; of each seat there are three: pid, row of work in hand, pid once ready."""
_CELLS = 3
CAUTION_NS = 300 * 10**9
"""A poisonous image seldom comes alone: so long after a death each image is tried out before it is read."""


class InFlightTable:
    """Shared memory that the parent makes before it forks; nobody takes a lock there, since its holder may be dead.

    Each process writes to its own seat alone, but for the time of the latest death, where the last one wins.
    """

    def __init__(self) -> None:
        self._cells = memoryview(mmap.mmap(-1, (2 + _SLOTS * _CELLS) * 8)).cast("q")

    def seconds_at_work(self) -> float:
        """Since a process of this start first had its network loaded; 0 while none has."""
        ready = self._cells[_FIRST_READY]
        return (time.monotonic_ns() - ready) / 1e9 if ready else 0.0

    def ready_processes(self) -> int:
        """Count the living processes that have their network loaded."""
        seats = zip(self._cells[1:-1:_CELLS], self._cells[3:-1:_CELLS], strict=True)
        return sum(pid == ready and not _is_dead(pid) for pid, ready in seats if pid)

    def slot(self, index: int) -> "Slot":
        """The place of the process of this index. Raises IndexError beyond 1,024 processes."""
        if not 0 <= index < _SLOTS:
            raise IndexError(f"the black box has {_SLOTS} seats, none of them for process {index}")
        return Slot(self._cells, index)


class Slot:
    """Where one process writes what it has in hand, and looks at the others."""

    def __init__(self, cells: memoryview, index: int) -> None:
        self._cells = cells
        self._pid = _pid_cell(index)
        self._work = self._pid + 1
        self._in_flight = InFlight(cells, self._work)
        self._siblings: dict[int, int] = {}
        self._deaths = select.poll()

    def take_over(self) -> int | None:
        """Take the seat. Returns the row of work that a dead predecessor had in hand, if there was one."""
        work_in_flight = int(self._cells[self._work])
        if self._cells[self._pid]:
            self.record_death()
        self._cells[self._pid] = os.getpid()  # first: who still finds the old one finds what that had in hand
        self._cells[self._work] = 0
        return work_in_flight or None

    def mark_ready(self) -> None:
        """The network is loaded: from now on batches are taken."""
        self._cells[_FIRST_READY] = self._cells[_FIRST_READY] or time.monotonic_ns()
        self._cells[self._pid + 2] = os.getpid()

    def in_flight(self, work_id: int) -> "InFlight":
        """Name this row of work while the context is entered; 0: name none. It cannot be nested."""
        self._in_flight.work_id = work_id
        return self._in_flight

    def record_death(self) -> None:
        """Somebody died of an image just now."""
        self._cells[_LATEST_DEATH] = time.monotonic_ns()

    def is_cautious(self) -> bool:
        """Whether a process of this worker died lately, or has died this very moment."""
        if self._siblings and self._deaths.poll(0):
            self.watch_siblings()
        died = self._cells[_LATEST_DEATH]
        return bool(died) and time.monotonic_ns() - died < CAUTION_NS

    def watch_siblings(self) -> None:
        """Follow those who live now, note it if one does not; once a batch, since processes are replaced."""
        pids = {pid for pid in self._cells[1:-1:_CELLS] if pid and pid != os.getpid()}
        alive = {pid for pid in pids if not _is_dead(pid)}
        if alive != pids:  # it died while this process was between two batches
            self.record_death()
        for pid in self._siblings.keys() - alive:
            self._forget(pid)
        for pid in alive - self._siblings.keys():
            self._follow(pid)

    def is_dead(self, index: int) -> bool:
        """Whether the process of this index is dead, and no successor has taken its seat."""
        pid = self._cells[_pid_cell(index)]
        return bool(pid) and _is_dead(pid)

    def work_in_flight(self, index: int) -> int | None:
        """The row of work that the process of this index has, or had, in hand."""
        return self._cells[_pid_cell(index) + 1] or None

    def _follow(self, pid: int) -> None:
        try:
            descriptor = _descriptor_of(pid)
        except ProcessLookupError:
            return
        if descriptor is None:  # the successor's arrival says that there was a death
            return
        self._siblings[pid] = descriptor
        self._deaths.register(descriptor, select.POLLIN)

    def _forget(self, pid: int) -> None:
        descriptor = self._siblings.pop(pid)
        self._deaths.unregister(descriptor)
        os.close(descriptor)


class InFlight:
    """The context of one seat, used for image after image: a new object for each would cost twice as much."""

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
    return 1 + index * _CELLS


def _descriptor_of(pid: int) -> int | None:
    """A pidfd; None where there are none: off Linux, before 5.3, or forbidden. Raises ProcessLookupError."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        return None


def _is_dead(pid: int) -> bool:
    """Whom nobody has reaped yet is dead all the same."""
    try:
        descriptor = _descriptor_of(pid)
        if descriptor is None:
            os.kill(pid, 0)
            return False
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    try:
        look = select.poll()
        look.register(descriptor, select.POLLIN)
        return bool(look.poll(0))
    finally:
        os.close(descriptor)
