"""Read images that may kill the process: `python -m worker.isolation.trial_process`, started by trial_read.

This process imports the code that reads images, but no network. Its fork, the reader, reads the images; if the reader
dies, a new one is forked within milliseconds. Standard input is the connection to the worker process. If the worker
process dies, the kernel kills both.
"""

import logging
import mmap
import os
import signal
import sys
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

import cv2

from imaging.budget import object_seconds
from imaging.limits import Limits
from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec
from nightread.errors import RejectImage
from nightread.process_limits import die_with_parent, limit_memory
from worker.fetching.files import fetch

READY, PROGRESS, PASSED, NO_MEMORY, TIMED_OUT, DIED = b"ready", b".", b"passed", b"memory", b"timeout", b"died"
_NUMBER_BYTES = 8
_LEAST_SECONDS = 0.001
"""Shortest time of a timer; a timer of 0 s would never fire."""
_OUT_OF_MEMORY_EXIT_CODE = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialSettings:
    """The settings of the trial process: limits, and the time and memory that one image may use."""

    limits: Limits
    frame_seconds: float
    memory_bytes: int


def encode_response(number: int, response: bytes) -> bytes:
    """Encode a response with the number of its request, so that a late response is recognised."""
    return number.to_bytes(_NUMBER_BYTES, "little") + response


def decode_response(message: bytes) -> tuple[int, bytes]:
    """Return the number of the request, and the response to it."""
    return int.from_bytes(message[:_NUMBER_BYTES], "little"), message[_NUMBER_BYTES:]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRequest:
    """A request for one trial read: the location of the image (an ImageLocation) and the input specs to prepare."""

    source: str
    root: str
    uri: str
    size: int
    mtime_ns: int
    marked: bool
    specs: tuple[InputSpec, ...]
    accept_raster: bool
    sends_bytes: bool = False
    """Whether the next message holds the bytes of the image. The trial process cannot get them from a store itself."""


def serve(connection: Connection) -> None:
    """Fork a reader, and report the cause of its death each time it dies, until the worker closes the connection."""
    die_with_parent()
    settings, roots = connection.recv()
    number_in_flight = memoryview(mmap.mmap(-1, _NUMBER_BYTES)).cast("q")  # shared with the reader; 0: none
    _send(connection, 0, READY)
    while True:
        if (pid := os.fork()) == 0:
            _serve_requests(connection, settings, roots, number_in_flight)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code == 0:
            return
        if number_in_flight[0]:  # 0: the reader was killed between two requests, so no response is expected
            _send(connection, number_in_flight[0], _response_for_exit_code(code))
            number_in_flight[0] = 0


def _serve_requests(
    connection: Connection, settings: TrialSettings, roots: dict[str, Path], number_in_flight: memoryview
) -> NoReturn:
    """Read one image per request in the forked reader. This function never returns."""
    die_with_parent()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process even if a library is stuck in C code
    limit_memory(settings.memory_bytes)
    code = 1
    try:
        while True:
            number, request = connection.recv()
            number_in_flight[0] = number
            _read(connection, number, request, settings, roots)
            number_in_flight[0] = 0
            connection.send_bytes(encode_response(number, PASSED))
    except MemoryError:
        code = _OUT_OF_MEMORY_EXIT_CODE
    except (EOFError, BrokenPipeError, ConnectionResetError):
        code = 0
    finally:
        os._exit(code)


def _read(
    connection: Connection, number: int, request: TrialRequest, settings: TrialSettings, roots: dict[str, Path]
) -> None:
    progress = encode_response(number, PROGRESS)
    try:
        data = _load_bytes(connection, request, settings, roots)
        connection.send_bytes(progress)
        signal.setitimer(signal.ITIMER_REAL, settings.frame_seconds)
        dicom_image = read(data, limits=settings.limits, accept_raster=request.accept_raster)
        ends_at = time.monotonic() + object_seconds(
            dicom_image.frame_count, dicom_image.stored_bytes, settings.frame_seconds
        )
        _limit_frame(settings.frame_seconds, ends_at)
        for frame in dicom_image.frames():
            for spec in request.specs:
                with suppress(RejectImage):  # concerns one model; the worker prepares the frame for the others
                    prepare(frame, spec)
            _limit_frame(settings.frame_seconds, ends_at)
            connection.send_bytes(progress)
    except (MemoryError, ConnectionError):
        raise
    except Exception:  # noqa: BLE001, S110 - an error counts as passed: only the process must survive
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _limit_frame(frame_seconds: float, ends_at: float) -> None:
    """Set the alarm that ends the process when the next frame has taken too long.

    It also ends the process at `ends_at`, when all frames of the object together have taken too long.
    """
    left = max(ends_at - time.monotonic(), _LEAST_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, min(frame_seconds, left))


def _load_bytes(
    connection: Connection, request: TrialRequest, settings: TrialSettings, roots: dict[str, Path]
) -> bytes:
    if request.sends_bytes:
        return connection.recv_bytes()
    return fetch(request, roots=roots, max_bytes=settings.limits.file_bytes).data


def _response_for_exit_code(code: int) -> bytes:
    return {_OUT_OF_MEMORY_EXIT_CODE: NO_MEMORY, -signal.SIGALRM: TIMED_OUT}.get(code, DIED)


def _send(connection: Connection, number: int, response: bytes) -> None:
    try:
        connection.send_bytes(encode_response(number, response))
    except ConnectionError:
        sys.exit(0)


if __name__ == "__main__":
    logging.disable()  # messages about an image are logged when the worker process reads it
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)  # the worker processes use the other cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker handles Ctrl-C and closes the connection when it ends
    serve(Connection(0))
