"""The images of a batch that lie in stores, retrieved before it is their turn."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from db.ledger import Claimed
from worker.fetch import Fetched, lies_in_store
from worker.fetch_web import Stores

AHEAD_BYTES = 256 * 1024**2
"""Retrieved and not yet asked for, per worker process; one image that is asked for may be larger."""
_TYPICAL_BYTES = 1024**2
_LOOK_SECONDS = 1.0


class _NoRoomError(Exception):
    """No room for an image whose turn has not come: it is retrieved again when it has."""


@dataclass(kw_only=True, slots=True)
class _Flight:
    """One retrieval that was begun, and its image as long as nobody has asked for it."""

    image: Claimed
    reserved: int
    received: int = 0
    file: Future[Fetched] = field(init=False)


class Ahead:
    """Retrieves in the batch's order, as many at once as their stores may be asked, while what came before is decoded.

    Whoever asks for an image, in that order, makes room for those behind it.
    """

    def __init__(self, images: Sequence[Claimed], stores: Stores, *, max_bytes: int = AHEAD_BYTES) -> None:
        """Begins with the first ones at once."""
        self._stores = stores
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._waiting = deque(image for image in images if lies_in_store(image))
        self._flights: dict[int, _Flight] = {}
        self._at_store: Counter[str] = Counter()
        self._held_bytes = 0
        self._received_bytes = 0
        self._wanted = 0
        self._ended = False
        with self._lock:
            self._start_some()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """What was not asked for is dropped; what is on its way breaks off at its next piece."""
        with self._lock:
            self._ended = True
            self._waiting.clear()
            self._flights.clear()

    def take(self, image: Claimed, progress: Callable[[], None]) -> Fetched:
        """The next image. `progress` is called while its bytes come in, and may raise.

        Raises what Stores.fetch raises.
        """
        flight = self._ask_for(image)
        try:
            self._await(flight.file, progress)
            return flight.file.result()
        except _NoRoomError:
            return self._stores.fetch(image, lambda _count: progress())
        finally:
            with self._lock:
                self._flights.pop(image.work_id)
                self._reserve(flight, 0)
                self._start_some()

    def _ask_for(self, image: Claimed) -> _Flight:
        with self._lock:
            self._wanted = image.work_id
            self._start_some()
            return self._flights[image.work_id]

    def _await(self, file: Future[Fetched], progress: Callable[[], None]) -> None:
        """Bytes that come in are progress, whichever image they are of."""
        before = self._received_bytes
        while not wait((file,), _LOOK_SECONDS).done:
            before, now = self._received_bytes, before
            if now != before:
                progress()

    def _start_some(self) -> None:
        """As many as may be asked for and there is room for; the one that is wanted in any case."""
        while self._waiting:
            image = self._waiting[0]
            reserved = image.size or _TYPICAL_BYTES
            no_room = self._held_bytes + reserved > self._max_bytes
            if image.work_id != self._wanted and (no_room or self._is_busy(image)):
                return
            flight = _Flight(image=self._waiting.popleft(), reserved=0)
            self._reserve(flight, reserved)
            self._at_store[image.source] += 1
            self._flights[image.work_id] = flight
            flight.file = self._stores.threads.submit(self._retrieve, flight)

    def _is_busy(self, image: Claimed) -> bool:
        return self._at_store[image.source] >= self._stores.connections(image)

    def _retrieve(self, flight: _Flight) -> Fetched:
        size = 0
        try:
            file = self._stores.fetch(flight.image, partial(self._count, flight))
            size = len(file.data)
            return file
        finally:
            with self._lock:
                self._at_store[flight.image.source] -= 1
                self._reserve(flight, size)
                self._start_some()

    def _count(self, flight: _Flight, count: int) -> None:
        with self._lock:
            self._received_bytes += count
            flight.received += count
            self._reserve(flight, max(flight.reserved, flight.received))
            unasked = flight.image.work_id != self._wanted
            if self._ended or (unasked and self._held_bytes > self._max_bytes):
                raise _NoRoomError

    def _reserve(self, flight: _Flight, count: int) -> None:
        self._held_bytes += count - flight.reserved
        flight.reserved = count
