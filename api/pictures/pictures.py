"""Return pictures of images from the cache, or make them in a process. Equal requests share one picture."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b
from http import HTTPStatus
from json import dumps

from sqlalchemy.exc import SQLAlchemyError

from api.original_files import NoOriginalError
from api.originals import OriginalReader
from api.pictures.cache import FOLDER, PictureCache
from api.pictures.picture import AnyRequest, HeatMapRequest, NoPictureError, Picture, ProcessSettings
from api.pictures.pool import BusyError, PicturePool
from api.pictures.process import PictureProcess
from db.engine import Database
from db.queries.originals import original
from imaging.limits import Limits
from nightread.settings import Settings

_RELEASE = 1
"""Increase this number if a change of the code makes another picture for the same request: caches hold old pictures."""
_PROCESSES, _WAITING = 2, 64
"""Number of processes, and of requests that may wait for them. There are two processes, so that a large image does not
block all others."""
_HEAT_WAITING = 8
"""Number of requests that may wait for the one process that makes heat maps. A heat map takes 0.1 s to some seconds."""
_STORE_THREADS = 4
_MOST_SECONDS = 20.0
"""Time limit for a picture in seconds, because a person waits for it. A shorter image_timeout_seconds replaces it."""
_HEAT_TIMES = 3
"""A heat map may take this many times as long as a picture, because the frame with the highest score is found first."""
_REFUSED_SECONDS, _MOST_REFUSED = 60.0, 1000
_LASTING = (HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY)
"""Statuses of errors that are remembered for a minute, because the same request would fail with the same error."""
_COSTLY = ("timeout", "out_of_memory")
"""Reasons of errors that are remembered for a minute, because another attempt costs much time."""


class Pictures:
    """Makes and caches the pictures of all images. Starts processes at the first request. Safe for several threads."""

    def __init__(
        self, settings: Settings, database: Database, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        limits = Limits(
            file_bytes=settings.max_file_bytes,
            frame_pixels=settings.max_frame_pixels,
            object_bytes=settings.max_object_bytes,
        )
        seconds, memory = min(settings.image_timeout_seconds, _MOST_SECONDS), settings.image_memory_bytes
        plain = ProcessSettings(limits=limits, seconds=seconds, memory_bytes=memory)
        heat = ProcessSettings(
            limits=limits,
            seconds=seconds * _HEAT_TIMES,
            memory_bytes=memory,
            bundle_folders=tuple(map(str, settings.bundle_folders)),
        )
        renderers = [PictureProcess("api.pictures.render_process", plain) for _ in range(_PROCESSES)]
        heat_maps = PictureProcess("api.pictures.heat_process", heat)
        self.processes = (*renderers, heat_maps)
        self._renderers = PicturePool(renderers, waiting=_WAITING)
        self._heat = PicturePool([heat_maps], waiting=_HEAT_WAITING)
        self._cache = PictureCache(settings.state_dir / FOLDER, max_bytes=settings.thumbnail_bytes)
        self._originals = OriginalReader(settings)
        self._database = database
        self._fetchers = ThreadPoolExecutor(_STORE_THREADS, "original")
        self._fetching = threading.BoundedSemaphore(_STORE_THREADS + _WAITING)
        self._under_way = Underway(self._submit, monotonic=monotonic)

    def cached(self, request: AnyRequest) -> Picture | None:
        """Return the picture if it is in the cache."""
        return self._cache.get(request.place.image_id, key_of(request))

    def get(self, request: AnyRequest) -> Picture:
        """Return the picture from the cache, or make it and cache it. Raises NoPictureError and BusyError."""
        return self.cached(request) or self.make(request, keep=True).result()

    def make(self, request: AnyRequest, *, keep: bool = False) -> "Future[Picture]":
        """Return a future of the picture. Equal requests share one future. With `keep`, the picture is cached.

        This method and the future raise NoPictureError and BusyError.
        """
        key = key_of(request)
        future = self._under_way.future(key, request)
        if keep:
            future.add_done_callback(lambda done: self._keep(request.place.image_id, key, done))
        return future

    def close(self) -> None:
        """End all processes."""
        self._fetchers.shutdown(wait=False, cancel_futures=True)
        self._renderers.close()
        self._heat.close()

    def _submit(self, request: AnyRequest) -> "Future[Picture]":
        pool = self._heat if isinstance(request, HeatMapRequest) else self._renderers
        if not request.place.in_store:
            return pool.submit(request)
        if not self._fetching.acquire(blocking=False):
            raise BusyError
        return self._fetchers.submit(self._from_store, request, pool)

    def _from_store(self, request: AnyRequest, pool: PicturePool) -> Picture:
        try:
            data = self._originals.read(request.place)
            return pool.submit(request, data).result()
        except NoOriginalError as error:
            raise NoPictureError(error.status, error.detail) from None
        finally:
            self._fetching.release()

    def _keep(self, image_id: int, key: str, done: "Future[Picture]") -> None:
        """Put the picture into the cache, unless the image was purged while it was made."""
        if done.cancelled() or done.exception() is not None:
            return
        self._cache.put(image_id, key, done.result())
        try:
            image = original(self._database, image_id)
        except SQLAlchemyError:
            image = None
        if image is None or image.purged:
            with suppress(OSError):
                self._cache.forget([image_id])


class Underway:
    """The pictures that are being made, and the errors that are remembered for a minute."""

    def __init__(self, submit: Callable[[AnyRequest], "Future[Picture]"], *, monotonic: Callable[[], float]) -> None:
        self._submit = submit
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._futures: dict[str, Future[Picture]] = {}
        self._refused: dict[str, tuple[float, NoPictureError]] = {}

    def future(self, key: str, request: AnyRequest) -> "Future[Picture]":
        """Return the future of an equal request, or submit this request.

        Raises NoPictureError without a new attempt if an equal request failed in the last minute.
        """
        with self._lock:
            until, error = self._refused.get(key, (0.0, None))
            if error is not None and self._monotonic() < until:
                raise error.with_traceback(None)
            if key in self._futures:
                return self._futures[key]
            future = self._futures[key] = self._submit(request)
        future.add_done_callback(lambda done: self._finish(key, done))
        return future

    def _finish(self, key: str, done: "Future[Picture]") -> None:
        error = None if done.cancelled() else done.exception()
        with self._lock:
            self._futures.pop(key, None)
            if isinstance(error, NoPictureError) and (error.status in _LASTING or error.reason in _COSTLY):
                if len(self._refused) >= _MOST_REFUSED:
                    self._refused.clear()
                self._refused[key] = self._monotonic() + _REFUSED_SECONDS, error


def key_of(request: AnyRequest) -> str:
    """Return 32 hex digits that identify the picture. All processes compute the same digits.

    They depend on the image, the bytes of the original, and the parameters of the request.
    """
    values = asdict(request) | {"kind": type(request).__name__, "release": _RELEASE}
    place = values.pop("place")
    content = dumps(values | {"content": place["content"], "image": place["image_id"]}, sort_keys=True)
    return blake2b(content.encode(), digest_size=16).hexdigest()
