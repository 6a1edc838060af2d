"""From a place in a store to bytes, and from what went wrong there to the fate of the image."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from hashlib import sha256

from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.instance import retrieve
from nightread.reasons import Reason
from nightread.settings import Settings
from nightread.stores import Store, open_store, store_of
from nightread.web import HttpClient, MissingError, RefusedError, TooMuchError, UnavailableError, WebError
from worker.fetching.files import Fetched, ImageLocation

_PROBE_SECONDS = 5.0
_SPARED_SECONDS = 5.0
"""A store that was found to be down is not asked for each image of a batch: each would wait for its time-out."""
_MOST_AT_ONCE = 64
_SILENCES = 4
"""In a lease: to connect, to be asked once more, to answer, and what the probe takes."""


class Stores:
    """The stores that this process retrieves from, each connected to when it is first needed; for several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reached: dict[tuple[str, str], _ReachedStore] = {}
        self.threads = ThreadPoolExecutor(_MOST_AT_ONCE, "retrieve")
        """For whoever retrieves several at once; none runs before that."""

    def connections(self, image: ImageLocation) -> int:
        """How many retrievals at once the image's store is to bear from this process."""
        return self._reach(image).store.connections

    def fetch(self, image: ImageLocation, on_bytes: Callable[[int], object] = lambda _count: None) -> Fetched:
        """Retrieve the instance; its size and time stay those that were registered: a store need not tell either.

        What `on_bytes`, which hears of each piece, raises ends the transfer. Raises RejectImage (too large) and
        RetryImage (store away, or does not give the image).
        """
        most = self._settings.max_file_bytes
        if image.size > most:
            raise _too_large(most)
        reached = self._reach(image)
        reached.spare()
        try:
            data = retrieve(reached.site, image.uri, max_bytes=most, on_bytes=on_bytes)
        except TooMuchError:
            raise _too_large(most) from None
        except UnavailableError as error:
            raise reached.why_silent(error, image.uri) from None
        except WebError as error:
            raise _why_not(error) from None
        return Fetched(data=data, sha256=sha256(data).hexdigest(), size=image.size, mtime_ns=image.mtime_ns)

    def _reach(self, image: ImageLocation) -> "_ReachedStore":
        key = image.source, image.root
        if key not in self._reached:
            store = store_of(self._settings, name=image.source, root=image.root)
            longest = self._settings.lease_seconds / _SILENCES
            self._reached.setdefault(key, _ReachedStore(store, longest))  # another thread may have been faster
        return self._reached[key]


class _ReachedStore:
    """One store, and whether it is known to be down."""

    def __init__(self, store: Store, longest_seconds: float) -> None:
        """`longest_seconds`: of its silence, whatever its settings bear."""
        self.store = store
        self._seconds = min(store.timeout_seconds, longest_seconds)
        self._down_until = 0.0
        self._trouble = ""

    @cached_property
    def site(self) -> HttpClient:
        """Raises RefusedError for certificates that cannot be read."""
        return open_store(self.store, timeout_seconds=self._seconds, connections=self.store.connections)

    @cached_property
    def _probe(self) -> HttpClient:
        return open_store(self.store, timeout_seconds=min(_PROBE_SECONDS, self._seconds))

    def spare(self) -> None:
        """Raise RetryImage for a store that was found to be down a moment ago."""
        if time.monotonic() < self._down_until:
            raise RetryImage(Reason.STORE_UNAVAILABLE, self._trouble)

    def why_silent(self, error: UnavailableError, uri: str) -> RetryImage:
        """A store that answers no easy question either is down; else it is this image that it cannot give."""
        detail = f"The store {error}."
        if self._answers(uri):
            return RetryImage(Reason.IO_ERROR, detail)
        self._trouble, self._down_until = detail, time.monotonic() + _SPARED_SECONDS
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


def _why_not(error: WebError) -> ImageError:
    if isinstance(error, MissingError):
        return RetryImage(Reason.MISSING_FILE, "The store does not have the instance any more.")
    return RetryImage(Reason.UNREADABLE if isinstance(error, RefusedError) else Reason.IO_ERROR, f"The store {error}.")


def _too_large(most: int) -> RejectImage:
    return RejectImage(Reason.TOO_LARGE, f"The instance has more bytes than max_file_bytes, {most}.")
