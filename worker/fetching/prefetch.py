"""The images of a batch that lie in stores, retrieved before it is their turn."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from db.ledger import Claimed
from worker.fetching.files import Fetched, lies_in_store
from worker.fetching.stores import Stores

PREFETCH_BYTES = 256 * 1024**2
"""Retrieved and not yet asked for, per worker process; one image that is asked for may be larger."""
_TYPICAL_BYTES = 1024**2
_LOOK_SECONDS = 1.0


class _NoRoomError(Exception):
    """No room for an image whose turn has not come: it is retrieved again when it has."""


@dataclass(kw_only=True, slots=True)
class _Retrieval:
    """One retrieval that was begun, and its image as long as nobody has asked for it."""

    image: Claimed
    reserved: int
    received: int = 0
    file: Future[Fetched] = field(init=False)


class Prefetcher:
    """Retrieves in the batch's order, as many at once as their stores may be asked, while what came before is decoded.

    Whoever asks for an image, in that order, makes room for those behind it.
    """

    def __init__(self, images: Sequence[Claimed], stores: Stores, *, max_bytes: int = PREFETCH_BYTES) -> None:
        """Begins with the first ones at once."""
        self._stores = stores
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._waiting = deque(image for image in images if lies_in_store(image))
        self._retrievals: dict[int, _Retrieval] = {}
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
            self._retrievals.clear()

    def take(self, image: Claimed, progress: Callable[[], None]) -> Fetched:
        """The next image. `progress` is called while its bytes come in, and may raise.

        Raises what Stores.fetch raises.
        """
        retrieval = self._ask_for(image)
        try:
            self._await(retrieval.file, progress)
            return retrieval.file.result()
        except _NoRoomError:
            return self._stores.fetch(image, lambda _count: progress())
        finally:
            with self._lock:
                self._retrievals.pop(image.work_id)
                self._reserve(retrieval, 0)
                self._start_some()

    def _ask_for(self, image: Claimed) -> _Retrieval:
        with self._lock:
            self._wanted = image.work_id
            self._start_some()
            return self._retrievals[image.work_id]

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
            retrieval = _Retrieval(image=self._waiting.popleft(), reserved=0)
            self._reserve(retrieval, reserved)
            self._at_store[image.source] += 1
            self._retrievals[image.work_id] = retrieval
            retrieval.file = self._stores.threads.submit(self._retrieve, retrieval)

    def _is_busy(self, image: Claimed) -> bool:
        return self._at_store[image.source] >= self._stores.connections(image)

    def _retrieve(self, retrieval: _Retrieval) -> Fetched:
        size = 0
        try:
            file = self._stores.fetch(retrieval.image, partial(self._count, retrieval))
            size = len(file.data)
            return file
        finally:
            with self._lock:
                self._at_store[retrieval.image.source] -= 1
                self._reserve(retrieval, size)
                self._start_some()

    def _count(self, retrieval: _Retrieval, count: int) -> None:
        with self._lock:
            self._received_bytes += count
            retrieval.received += count
            self._reserve(retrieval, max(retrieval.reserved, retrieval.received))
            unasked = retrieval.image.work_id != self._wanted
            if self._ended or (unasked and self._held_bytes > self._max_bytes):
                raise _NoRoomError

    def _reserve(self, retrieval: _Retrieval, count: int) -> None:
        self._held_bytes += count - retrieval.reserved
        retrieval.reserved = count
