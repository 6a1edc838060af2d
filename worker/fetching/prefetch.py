"""Retrieve the images of a batch from DICOM stores before they are needed."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from db.ledger import Claimed
from worker.fetching.files import Fetched, is_in_store
from worker.fetching.stores import Stores

PREFETCH_BYTES = 256 * 1024**2
"""Limit per worker process for images that are retrieved ahead. The image that is needed now may be larger."""
_TYPICAL_BYTES = 1024**2
_POLL_SECONDS = 1.0


class _OverLimitError(Exception):
    """A retrieval of an image that is not needed yet is stopped, because the images retrieved ahead reached the limit.

    The image is retrieved again when it is needed.
    """


@dataclass(kw_only=True, slots=True)
class _Retrieval:
    """One retrieval that was started: the bytes reserved for it, the bytes received, and the resulting file."""

    image: Claimed
    reserved: int
    received: int = 0
    file: Future[Fetched] = field(init=False)


class Prefetcher:
    """Retrieves images in the order of the batch while earlier images are decoded.

    The setting `connections` limits the parallel retrievals per store, and `max_bytes` limits the bytes held ahead.
    Call `take` for each image that is in a store, in the order of the batch; each call makes room for later images.
    """

    def __init__(self, images: Sequence[Claimed], stores: Stores, *, max_bytes: int = PREFETCH_BYTES) -> None:
        """Start the first retrievals at once."""
        self._stores = stores
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._waiting = deque(image for image in images if is_in_store(image))
        self._retrievals: dict[int, _Retrieval] = {}
        self._running_by_source: Counter[str] = Counter()
        self._held_bytes = 0
        self._received_bytes = 0
        self._requested = 0
        self._ended = False
        with self._lock:
            self._start_retrievals()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Drop the images that were not taken. Running retrievals stop at their next piece of data."""
        with self._lock:
            self._ended = True
            self._waiting.clear()
            self._retrievals.clear()

    def take(self, image: Claimed, progress: Callable[[], None]) -> Fetched:
        """Return the file of the next image. Raises the errors of Stores.fetch.

        `progress` is called while bytes arrive; an exception from it is passed on.
        """
        retrieval = self._request(image)
        try:
            self._wait_for(retrieval.file, progress)
            return retrieval.file.result()
        except _OverLimitError:
            return self._stores.fetch(image, lambda _count: progress())
        finally:
            with self._lock:
                self._retrievals.pop(image.work_id)
                self._reserve(retrieval, 0)
                self._start_retrievals()

    def _request(self, image: Claimed) -> _Retrieval:
        with self._lock:
            self._requested = image.work_id
            self._start_retrievals()
            return self._retrievals[image.work_id]

    def _wait_for(self, file: Future[Fetched], progress: Callable[[], None]) -> None:
        """Wait for the file. Bytes of any image count as progress."""
        received = self._received_bytes
        while not wait((file,), _POLL_SECONDS).done:
            previous, received = received, self._received_bytes
            if received != previous:
                progress()

    def _start_retrievals(self) -> None:
        """Start retrievals while the limits allow it. The image that is needed now is always started."""
        while self._waiting:
            image = self._waiting[0]
            reserved = image.size or _TYPICAL_BYTES
            over_limit = self._held_bytes + reserved > self._max_bytes
            if image.work_id != self._requested and (over_limit or self._is_busy(image)):
                return
            retrieval = _Retrieval(image=self._waiting.popleft(), reserved=0)
            self._reserve(retrieval, reserved)
            self._running_by_source[image.source] += 1
            self._retrievals[image.work_id] = retrieval
            retrieval.file = self._stores.threads.submit(self._retrieve, retrieval)

    def _is_busy(self, image: Claimed) -> bool:
        return self._running_by_source[image.source] >= self._stores.connections(image)

    def _retrieve(self, retrieval: _Retrieval) -> Fetched:
        size = 0
        try:
            file = self._stores.fetch(retrieval.image, partial(self._count, retrieval))
            size = len(file.data)
            return file
        finally:
            with self._lock:
                self._running_by_source[retrieval.image.source] -= 1
                self._reserve(retrieval, size)
                self._start_retrievals()

    def _count(self, retrieval: _Retrieval, count: int) -> None:
        with self._lock:
            self._received_bytes += count
            retrieval.received += count
            self._reserve(retrieval, max(retrieval.reserved, retrieval.received))
            is_ahead = retrieval.image.work_id != self._requested
            if self._ended or (is_ahead and self._held_bytes > self._max_bytes):
                raise _OverLimitError

    def _reserve(self, retrieval: _Retrieval, count: int) -> None:
        self._held_bytes += count - retrieval.reserved
        retrieval.reserved = count
