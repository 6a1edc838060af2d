"""Run a process that makes pictures, and send requests to it."""

import json
import signal
import subprocess
import threading
from http import HTTPStatus
from typing import Any

from api.pictures.exit_codes import CLOSED, DIED, TIMED_OUT
from api.pictures.picture import AnyRequest, NoPictureError, Picture, ProcessSettings
from nightread.environment import foreign_variables
from nightread.piped_process import PipedProcess

_START_SECONDS = 30.0
_HEADER_BYTES = 64 * 1024
_CONTENT_BYTES = 256 * 1024**2
_END_SECONDS = 10.0
"""A process that has closed its connection is killed if it does not end within this time."""
_ON_THE_CPU = {"CUDA_VISIBLE_DEVICES": "-1"}
"""Hides the GPUs from the process, because the worker uses their memory."""
_ATTEMPTS = 3
_NOT_BY_THE_IMAGE = (CLOSED, 1, -signal.SIGKILL, -signal.SIGTERM)
"""Exit codes after which the request is repeated, because the image is not the cause. An idle process may end just when
a request comes (CLOSED), an import may fail (1), and a person or the kernel may kill the process."""


class _EndedError(Exception):
    """The process ended without a response. The argument is its exit code."""


class PictureProcess:
    """A process that makes one picture at a time. It is started at the first request, and again if it has ended."""

    def __init__(self, module: str, settings: ProcessSettings) -> None:
        """`module` is run as a program, such as `api.pictures.render_process`."""
        self._module = module
        self._settings = settings
        self._running: PipedProcess | None = None
        self._is_new = False
        self._closed = False

    def ask(self, request: AnyRequest, data: bytes | None = None) -> Picture:
        """Return the picture; `data` is the original if it is in a store. Raises NoPictureError."""
        for _ in range(_ATTEMPTS):
            try:
                return self._ask(self._open(), request, data)
            except _EndedError as ended:
                code = ended.args[0]
                if code in (TIMED_OUT, -signal.SIGALRM):
                    seconds = self._settings.seconds
                    detail = f"The picture took longer than {seconds:g} s, the limit for pictures."
                    raise NoPictureError(HTTPStatus.SERVICE_UNAVAILABLE, detail, reason="timeout") from None
                if code not in _NOT_BY_THE_IMAGE:
                    detail = "The image cannot be shown: reading it ended the process that makes pictures."
                    raise NoPictureError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, reason="killed_worker") from None
        raise NoPictureError(HTTPStatus.SERVICE_UNAVAILABLE, "The process that makes pictures does not start.")

    @property
    def is_running(self) -> bool:
        """Return whether the process was started and has not ended."""
        return self._running is not None and self._running.process.poll() is None

    def close(self) -> None:
        """End the process for good. A thread that waits for its picture gets a NoPictureError."""
        self._closed = True
        if self._running is not None:
            self._running.process.kill()
            self._running.process.wait()

    def _ask(self, running: PipedProcess, request: AnyRequest, data: bytes | None) -> Picture:
        # The alarm of the process itself has no effect while a read blocks in the kernel.
        watchdog = threading.Timer(self._settings.seconds + _START_SECONDS, running.process.kill)
        watchdog.start()
        connection = running.connection
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
            raise _EndedError(_exit_code(running.process, timed_out=not watchdog.is_alive())) from None
        finally:
            watchdog.cancel()

    def _open(self) -> PipedProcess:
        if self._closed:
            raise NoPictureError(HTTPStatus.SERVICE_UNAVAILABLE, "The API is being stopped.")
        if self._running is None or not self.is_running:
            if self._running is not None:
                self._running.stop()
            self._running = PipedProcess(self._module, foreign_variables() | _ON_THE_CPU)
            self._is_new = True
        return self._running


def _exit_code(process: "subprocess.Popen[bytes]", *, timed_out: bool) -> int:
    """Return the exit code of the process. Wait for its end, and kill it if it does not end by itself."""
    try:
        code = process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        code = DIED
    return TIMED_OUT if timed_out else code


def _picture(header: dict[str, Any], content: bytes) -> Picture:
    if "status" in header:
        raise NoPictureError(HTTPStatus(header["status"]), str(header["detail"]), reason=header["reason"])
    return Picture(content=content, media_type=str(header["media_type"]), details=dict(header["details"]))
