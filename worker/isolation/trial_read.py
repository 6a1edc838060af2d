"""Reading a suspicious image in a disposable process first, so that no network has to be loaded again."""

import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, Pipe
from typing import Any

from db.ledger import Claimed
from imaging.limits import Limits
from imaging.spec import InputSpec
from nightread.errors import ImageError, RetryImage
from nightread.reasons import Reason
from nightread.settings import Settings
from worker.isolation.trial_process import (
    FINE,
    NO_MEMORY,
    PROGRESS,
    READY,
    TOO_SLOW,
    TrialRequest,
    TrialSettings,
    unnumbered,
)

ATTEMPTS = 3
_STARTS_IN_SECONDS = 30
_KILLED = f"Reading this image killed the process that tried it out, {ATTEMPTS} times of {ATTEMPTS}."
_NOT_STARTED = "The process that tries out suspicious images could not start, or was ended from outside."
_GONE = b"gone"
_LONGEST_ANSWER = 32
_UNUSED_SECONDS = 60


class TrialReader:
    """One reading room of one worker process, opened when it is first needed."""

    def __init__(self, settings: Settings, limits: Limits, *, record_death: Callable[[], None]) -> None:
        """`note_death` hears of each image that killed its reader."""
        self._settings = settings
        self._limits = limits
        self._record_death = record_death
        self._connection: Connection[Any, Any] | None = None
        self._number = 0
        self._used_at = 0.0
        self._close: Callable[[], object] = _nothing_to_close

    def read(
        self, image: Claimed, specs: Sequence[InputSpec], progress: Callable[[], None], data: bytes | None = None
    ) -> None:
        """Return when all of the image was fetched, read and prepared without harm, or is refused without any.

        `data` are its bytes where it is no file. `progress` is called after each frame.

        Raises RetryImage(out_of_memory), and ImageError(timeout, killed_worker).
        """
        deaths = 0
        for _ in range(ATTEMPTS):
            answer = self._answer(_request(image, tuple(specs), data), data, progress)
            if answer == FINE:
                return
            if answer == NO_MEMORY:
                raise RetryImage(Reason.OUT_OF_MEMORY)
            if answer == _GONE:
                continue
            deaths += 1
            self._record_death()
            if answer == TOO_SLOW:
                raise ImageError(Reason.TIMEOUT)
        if deaths == ATTEMPTS:
            raise ImageError(Reason.KILLED_WORKER, _KILLED)
        raise RetryImage(Reason.INTERNAL_ERROR, _NOT_STARTED)

    def close_if_unused(self) -> None:
        """End the reading room where it was not needed for a minute."""
        if self._connection is not None and time.monotonic() - self._used_at > _UNUSED_SECONDS:
            self.close()

    def close(self) -> None:
        """End the reading room; the next suspect opens another."""
        self._connection = None
        self._close()

    def _answer(self, request: TrialRequest, data: bytes | None, progress: Callable[[], None]) -> bytes:
        try:
            connection = self._open_connection()
            self._number += 1
            self._used_at = time.monotonic()
            connection.send((self._number, request))
            if data is not None:
                connection.send_bytes(data)
            while connection.poll(self._settings.lease_seconds + _STARTS_IN_SECONDS):
                number, answer = unnumbered(connection.recv_bytes(_LONGEST_ANSWER))
                if number != self._number:
                    continue
                if answer != PROGRESS:
                    return answer
                progress()
        except (EOFError, OSError):
            self.close()  # it could not start, or was killed with its reader: by a person, or for memory
            return _GONE
        except BaseException:
            self.close()  # the caller gives up on the image that is being read there
            raise
        self.close()  # stuck where no alarm is heard: in the kernel, on storage that does not answer
        return TOO_SLOW

    def _open_connection(self) -> "Connection[Any, Any]":
        if self._connection is None:
            ours, theirs = Pipe()
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "worker.isolation.trial_process"], stdin=theirs.fileno()
                )
            except OSError:
                ours.close()
                raise
            finally:
                theirs.close()
            self._connection, self._close = ours, weakref.finalize(self, _end, process, ours)
            ours.send((self._trial_settings(), dict(self._settings.roots)))
            if not ours.poll(_STARTS_IN_SECONDS) or unnumbered(ours.recv_bytes(_LONGEST_ANSWER))[1] != READY:
                raise EOFError
        return self._connection

    def _trial_settings(self) -> TrialSettings:
        return TrialSettings(
            limits=self._limits,
            accept_raster=self._settings.accept_raster,
            frame_seconds=self._settings.image_timeout_seconds,
            memory_bytes=self._settings.image_memory_bytes,
        )


def _nothing_to_close() -> None:
    """No reading room was opened."""


def _end(process: subprocess.Popen[bytes], connection: "Connection[Any, Any]") -> None:
    connection.close()
    process.kill()
    process.wait()


def _request(image: Claimed, specs: tuple[InputSpec, ...], data: bytes | None) -> TrialRequest:
    return TrialRequest(
        source=image.source,
        root=image.root,
        uri=image.uri,
        size=image.size,
        mtime_ns=image.mtime_ns,
        marked=image.marked,
        specs=specs,
        sends_bytes=data is not None,
    )
