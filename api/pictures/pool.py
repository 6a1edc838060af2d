"""Make pictures in a few processes, and refuse requests while too many requests wait."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from api.pictures.picture import AnyRequest, Picture


class Answering(Protocol):
    """The interface of api.pictures.process.PictureProcess, which makes one picture at a time."""

    def ask(self, request: AnyRequest, data: bytes | None = None) -> Picture:
        """Return the picture; `data` is the original if it is in a store. Raises NoPictureError."""

    def close(self) -> None:
        """End the process."""


class BusyError(Exception):
    """Too many requests for pictures wait already. Try again after a few seconds."""


class PicturePool:
    """Makes pictures in processes. For each process, a thread waits for its pictures. Both start on demand."""

    def __init__(self, processes: Sequence[Answering], *, waiting: int) -> None:
        """`waiting` is the number of requests that may wait while all processes are busy."""
        self._processes = list(processes)
        self._free = list(processes)
        self._left = len(self._free) + waiting
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(len(self._free), "picture")

    def submit(self, request: AnyRequest, data: bytes | None = None) -> "Future[Picture]":
        """Return a future of the picture, which may fail with NoPictureError. Raises BusyError."""
        with self._lock:
            if not self._left:
                raise BusyError
            self._left -= 1
        try:
            return self._threads.submit(self._make, request, data)
        except RuntimeError:  # the pool is closed
            raise BusyError from None

    def close(self) -> None:
        """End the processes. Requests that wait are cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.close()

    def _make(self, request: AnyRequest, data: bytes | None) -> Picture:
        with self._lock:
            process = self._free.pop()
        try:
            return process.ask(request, data)
        finally:
            with self._lock:
                self._free.append(process)
                self._left += 1
