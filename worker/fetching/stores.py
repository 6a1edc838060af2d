"""Retrieve images from DICOM stores, and turn errors of a store into errors of the image."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from nightread.content_digest import content_of
from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.instance import retrieve
from nightread.reasons import Reason
from nightread.settings import Settings
from nightread.stores import Store, open_store, store_of
from nightread.web import HttpClient, MissingError, RefusedError, TooMuchError, UnavailableError, WebError
from worker.fetching.files import Fetched, ImageLocation

_PROBE_SECONDS = 5.0
_DOWN_SECONDS = 5.0
"""A store that was found to be down gets no request for 5 s; otherwise each image of a batch would wait for a
time-out."""
_MAX_THREADS = 64
_TIMEOUTS_PER_LEASE = 4
"""Number of time-outs that must fit into one lease: connect, repeat the request, receive the image, and probe."""


class Stores:
    """The stores from which this process retrieves. Each store is connected on first use. Safe for several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connections: dict[tuple[str, str], _StoreConnection] = {}
        self.threads = ThreadPoolExecutor(_MAX_THREADS, "retrieve")
        """Threads for parallel retrievals. No thread is started before the first retrieval."""

    def connections(self, image: ImageLocation) -> int:
        """Return the number of parallel retrievals that the store of the image accepts from this process."""
        return self._connection_to(image).store.connections

    def fetch(self, image: ImageLocation, on_bytes: Callable[[int], object] = lambda _count: None) -> Fetched:
        """Retrieve the instance. Its size and time are the registered ones, because a store may report neither.

        `on_bytes` is called with the length of each piece; an exception from it ends the transfer and is passed on.
        Raises RejectImage (larger than `max_file_bytes`) and RetryImage (store unavailable, or image not delivered).
        """
        max_bytes = self._settings.max_file_bytes
        if image.size > max_bytes:
            raise _too_large(max_bytes)
        connection = self._connection_to(image)
        connection.raise_if_down()
        try:
            data = retrieve(connection.site, image.uri, max_bytes=max_bytes, on_bytes=on_bytes)
        except TooMuchError:
            raise _too_large(max_bytes) from None
        except UnavailableError as error:
            raise connection.unavailable_error(error, image.uri) from None
        except WebError as error:
            raise _image_error(error) from None
        return Fetched(data=data, content=content_of(data), size=image.size, mtime_ns=image.mtime_ns)

    def _connection_to(self, image: ImageLocation) -> "_StoreConnection":
        key = image.source, image.root
        if key not in self._connections:
            store = store_of(self._settings, name=image.source, root=image.root)
            max_timeout = self._settings.lease_seconds / _TIMEOUTS_PER_LEASE
            # setdefault, because another thread may have been faster
            self._connections.setdefault(key, _StoreConnection(store, max_timeout))
        return self._connections[key]


class _StoreConnection:
    """The connection to one store, and the time until which the store counts as down."""

    def __init__(self, store: Store, max_timeout_seconds: float) -> None:
        """Create the connection. `max_timeout_seconds` limits the time-out in the settings of the store."""
        self.store = store
        self._seconds = min(store.timeout_seconds, max_timeout_seconds)
        self._down_until = 0.0
        self._down_detail = ""

    @cached_property
    def site(self) -> HttpClient:
        """Open the client for retrievals on first use. Raises RefusedError if its certificates cannot be read."""
        return open_store(self.store, timeout_seconds=self._seconds, connections=self.store.connections)

    @cached_property
    def _probe(self) -> HttpClient:
        return open_store(self.store, timeout_seconds=min(_PROBE_SECONDS, self._seconds))

    def raise_if_down(self) -> None:
        """Raise RetryImage if the store was found to be down less than 5 s ago."""
        if time.monotonic() < self._down_until:
            raise RetryImage(Reason.STORE_UNAVAILABLE, self._down_detail)

    def unavailable_error(self, error: UnavailableError, uri: str) -> RetryImage:
        """Return the error of an image that was not delivered, after a probe of the store with a small request.

        The reason is `io_error` if the store answers the probe, because then only this image fails. Otherwise the
        store is down: the reason is `store_unavailable`.
        """
        detail = f"The store {error}."
        if self._answers(uri):
            return RetryImage(Reason.IO_ERROR, detail)
        self._down_detail, self._down_until = detail, time.monotonic() + _DOWN_SECONDS
        return RetryImage(Reason.STORE_UNAVAILABLE, detail)

    def _answers(self, uri: str) -> bool:
        try:
            if uri.startswith("studies/"):
                self._probe.json("studies", {"limit": "1"})
            else:
                self._probe.json("system")
        except UnavailableError:
            return False
        except WebError:
            return True
        return True


def _image_error(error: WebError) -> ImageError:
    if isinstance(error, MissingError):
        return RetryImage(Reason.MISSING_FILE, "The store no longer has the instance.")
    return RetryImage(Reason.UNREADABLE if isinstance(error, RefusedError) else Reason.IO_ERROR, f"The store {error}.")


def _too_large(max_bytes: int) -> RejectImage:
    return RejectImage(Reason.TOO_LARGE, f"The instance has more than {max_bytes} bytes, the limit max_file_bytes.")
