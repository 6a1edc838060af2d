"""Run a process that makes pictures, and ask it for them."""

import json
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from http import HTTPStatus
from multiprocessing.connection import Connection, Pipe
from typing import Any

from api.pictures.exit_codes import CLOSED, DIED, TIMED_OUT
from api.pictures.picture import AnyRequest, NoPictureError, Picture, ProcessSettings
from nightread.environment import foreign_variables

_START_SECONDS = 30.0
_HEADER_BYTES = 64 * 1024
_CONTENT_BYTES = 256 * 1024**2
_END_SECONDS = 10.0
"""Time for the end of a process that closed its connection."""
_ON_THE_CPU = {"CUDA_VISIBLE_DEVICES": "-1"}
"""The memory of a GPU belongs to the worker."""
_ATTEMPTS = 3
_NOT_BY_THE_IMAGE = (CLOSED, 1, -signal.SIGKILL, -signal.SIGTERM)
"""Exit codes after which the request is repeated: an idle process may end at the moment of a request, a person or the
kernel may kill one, and 1 is that of an import that fails."""


class _EndedError(Exception):
    """The process ended without an answer; its exit code is the argument."""


class PictureProcess:
    """A process that makes one picture at a time. It is started on first use, and again after it ended."""

    def __init__(self, module: str, settings: ProcessSettings) -> None:
        """`module` is run as a program, such as `api.pictures.render_process`."""
        self._module = module
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None
        self._stop: Callable[[], object] = _nothing_to_stop
        self._is_new = False
        self._closed = False

    def ask(self, request: AnyRequest, data: bytes | None = None) -> Picture:
        """Return the picture; `data` is the original if it is in a store. Raises NoPictureError."""
        for _ in range(_ATTEMPTS):
            try:
                return self._ask(self._running(), request, data)
            except _EndedError as ended:
                code = ended.args[0]
                if code in (TIMED_OUT, -signal.SIGALRM):
                    seconds = self._settings.seconds
                    detail = f"The picture took too long: the limit is {seconds:g} s, by image_timeout_seconds."
                    raise NoPictureError(HTTPStatus.SERVICE_UNAVAILABLE, detail, reason="timeout") from None
                if code not in _NOT_BY_THE_IMAGE:
                    detail = "The image cannot be shown: it ended the process that read it."
                    raise NoPictureError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, reason="killed_worker") from None
        raise NoPictureError(HTTPStatus.SERVICE_UNAVAILABLE, "The process that makes pictures does not start.")

    @property
    def is_running(self) -> bool:
        """Return whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """End the process for good, also while another thread waits for a picture: it gets a NoPictureError."""
        self._closed = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _ask(self, process: "subprocess.Popen[bytes]", request: AnyRequest, data: bytes | None) -> Picture:
        # Reading may block in the kernel, where no alarm has an effect.
        watchdog = threading.Timer(self._settings.seconds + _START_SECONDS, process.kill)
        watchdog.start()
        connection = self._connection
        assert connection is not None  # noqa: S101 - the process runs
        try:
            if self._is_new:
                connection.send(self._settings)
                self._is_new = False
            connection.send(request)
            if data is not None:
                connection.send_bytes(data)
            header = json.loads(connection.recv_bytes(_HEADER_BYTES))
            return _picture(header, connection.recv_bytes(_CONTENT_BYTES))
        except (EOFError, OSError, ValueError, KeyError, TypeError):
            raise _EndedError(_exit_code(process, timed_out=not watchdog.is_alive())) from None
        finally:
            watchdog.cancel()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._closed:
            raise NoPictureError(HTTPStatus.SERVICE_UNAVAILABLE, "The API is being stopped.")
        if self._process is None or not self.is_running:
            self._stop()
            self._process, self._connection = _start(self._module)
            self._stop, self._is_new = weakref.finalize(self, _stop, self._process, self._connection), True
        return self._process


def _exit_code(process: "subprocess.Popen[bytes]", *, timed_out: bool) -> int:
    """Wait for the end of the process and return its exit code; one that sent no valid answer is killed."""
    try:
        code = process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        code = DIED
    return TIMED_OUT if timed_out else code


def _start(module: str) -> "tuple[subprocess.Popen[bytes], Connection[Any, Any]]":
    connection, child_end = Pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module], stdin=child_end.fileno(), env=foreign_variables() | _ON_THE_CPU
        )
    except OSError:
        connection.close()
        raise
    finally:
        child_end.close()
    return process, connection


def _nothing_to_stop() -> None:
    """Do nothing, because no process was started."""


def _stop(process: "subprocess.Popen[bytes]", connection: "Connection[Any, Any]") -> None:
    process.kill()
    process.wait()
    connection.close()


def _picture(header: dict[str, Any], content: bytes) -> Picture:
    if "status" in header:
        raise NoPictureError(HTTPStatus(header["status"]), str(header["detail"]), reason=header["reason"])
    return Picture(content=content, media_type=str(header["media_type"]), details=dict(header["details"]))
