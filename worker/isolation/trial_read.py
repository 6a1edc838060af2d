"""Read a suspicious image in a disposable process first.

If the image kills that process, no worker process dies, and no network has to be loaded again.
"""

import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from db.ledger import Claimed
from imaging.limits import Limits
from imaging.spec import InputSpec
from nightread.errors import ImageError, RetryImage
from nightread.piped_process import PipedProcess
from nightread.reasons import Reason
from nightread.settings import Settings
from nightread.sources import accepts_pictures
from worker.isolation.trial_process import (
    NO_MEMORY,
    PASSED,
    PROGRESS,
    READY,
    TIMED_OUT,
    TrialRequest,
    TrialSettings,
    decode_response,
)

ATTEMPTS = 3
_START_SECONDS = 30
_KILLED = f"Reading this image killed its trial process in {ATTEMPTS} of {ATTEMPTS} attempts."
_ENDED_AT = (
    "Decoding was stopped at frame {}: this frame took longer than image_timeout_seconds, or all frames together took "
    "longer than the limit for the size of the stored pixel data."
)
_NOT_STARTED = "The process for trial reads did not start, or was ended from outside; see the worker's log."
_CONNECTION_LOST = b"gone"
_MAX_RESPONSE_BYTES = 32
_UNUSED_SECONDS = 60


class TrialReader:
    """Starts the trial process of one worker process on first use, and sends images to it."""

    def __init__(self, settings: Settings, limits: Limits, *, record_death: Callable[[], None]) -> None:
        """Create a trial reader without starting a process. `record_death` is called each time a reader dies."""
        self._settings = settings
        self._limits = limits
        self._record_death = record_death
        self._process: PipedProcess | None = None
        self._number = 0
        self._steps = 0  # 1 when the file is loaded, and 1 more per decoded frame: the number of the present frame
        self._used_at = 0.0

    def read(
        self, image: Claimed, specs: Sequence[InputSpec], progress: Callable[[], None], data: bytes | None = None
    ) -> None:
        """Read the whole image in the trial process, and return if the process survives, even if the image is rejected.

        Pass the bytes as `data` if the image is in a store. `progress` is called after each frame; an exception from it
        ends the trial read and is passed on.

        Raises RetryImage (out_of_memory; internal_error if no process starts) and ImageError (timeout, killed_worker).
        """
        deaths = 0
        for _ in range(ATTEMPTS):
            response = self._ask(self._request(image, tuple(specs), data), data, progress)
            if response == PASSED:
                return
            if response == NO_MEMORY:
                raise RetryImage(Reason.OUT_OF_MEMORY)
            if response == _CONNECTION_LOST:
                continue
            deaths += 1
            self._record_death()
            if response == TIMED_OUT:
                raise ImageError(Reason.TIMEOUT, _ENDED_AT.format(self._steps) if self._steps else "")
        if deaths == ATTEMPTS:
            raise ImageError(Reason.KILLED_WORKER, _KILLED)
        raise RetryImage(Reason.INTERNAL_ERROR, _NOT_STARTED)

    def close_if_unused(self) -> None:
        """End the trial process if it was not used for 60 s."""
        if self._process is not None and time.monotonic() - self._used_at > _UNUSED_SECONDS:
            self.close()

    def close(self) -> None:
        """End the trial process. The next trial read starts a new one."""
        if self._process is not None:
            self._process.stop()
        self._process = None

    def _ask(self, request: TrialRequest, data: bytes | None, progress: Callable[[], None]) -> bytes:
        try:
            connection = self._open_connection()
            self._number += 1
            self._steps = 0
            self._used_at = time.monotonic()
            connection.send((self._number, request))
            if data is not None:
                connection.send_bytes(data)
            while connection.poll(self._settings.lease_seconds + _START_SECONDS):
                number, response = decode_response(connection.recv_bytes(_MAX_RESPONSE_BYTES))
                if number != self._number:
                    continue
                if response != PROGRESS:
                    return response
                self._steps += 1
                progress()
        except (EOFError, OSError):
            self.close()  # the process did not start, or a person or the out-of-memory killer ended it
            return _CONNECTION_LOST
        except BaseException:
            self.close()  # the caller gives up; the process may still be busy with the image
            raise
        self.close()  # stuck in the kernel, where the alarm has no effect: storage that does not respond
        return TIMED_OUT

    def _open_connection(self) -> "Connection[Any, Any]":
        if self._process is None:
            self._process = PipedProcess("worker.isolation.trial_process")
            connection = self._process.connection
            connection.send((self._trial_settings(), dict(self._settings.roots)))
            if (
                not connection.poll(_START_SECONDS)
                or decode_response(connection.recv_bytes(_MAX_RESPONSE_BYTES))[1] != READY
            ):
                raise EOFError
        return self._process.connection

    def _trial_settings(self) -> TrialSettings:
        return TrialSettings(
            limits=self._limits,
            frame_seconds=self._settings.image_timeout_seconds,
            memory_bytes=self._settings.image_memory_bytes,
        )

    def _request(self, image: Claimed, specs: tuple[InputSpec, ...], data: bytes | None) -> TrialRequest:
        return TrialRequest(
            source=image.source,
            root=image.root,
            uri=image.uri,
            size=image.size,
            mtime_ns=image.mtime_ns,
            marked=image.marked,
            specs=specs,
            accept_raster=accepts_pictures(image.origin, accept_raster=self._settings.accept_raster),
            sends_bytes=data is not None,
        )
