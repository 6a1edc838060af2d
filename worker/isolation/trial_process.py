"""Read images that may kill the process: `python -m worker.isolation.trial_process`, started by trial_read.

It has imported what reads images and no network. What reads is a fork of it, made in milliseconds whenever the one
before has died. Standard input is the connection; the kernel ends both when the worker process dies.
"""

import ctypes
import logging
import mmap
import os
import resource
import signal
import sys
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

import cv2

from imaging.limits import Limits
from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec
from worker.fetching.files import fetch

READY, PROGRESS, FINE, NO_MEMORY, TOO_SLOW, DIED = b"ready", b".", b"fine", b"memory", b"slow", b"died"
_NUMBER_BYTES = 8
_NO_MEMORY_LEFT = 3
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG, linux/prctl.h
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialSettings:
    """How the process reads every image."""

    limits: Limits
    accept_raster: bool
    frame_seconds: float
    memory_bytes: int


def numbered(number: int, what: bytes) -> bytes:
    """An answer to the request of this number: whoever gave up on one meets no late answer to it at the next."""
    return number.to_bytes(_NUMBER_BYTES, "little") + what


def unnumbered(answer: bytes) -> tuple[int, bytes]:
    """The request's number, and what was answered."""
    return int.from_bytes(answer[:_NUMBER_BYTES], "little"), answer[_NUMBER_BYTES:]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRequest:
    """Where one image is, and how it is to be prepared: what the worker sends for each trial read."""

    source: str
    root: str
    uri: str
    size: int
    mtime_ns: int
    marked: bool
    specs: tuple[InputSpec, ...]
    sends_bytes: bool = False
    """The image's bytes come as the next message: they were retrieved from a store, with a login that stays there."""


def serve(connection: Connection) -> None:
    """Have a reader read, and tell of each one that died what it died of, until the worker hangs up."""
    _end_with_parent()
    settings, roots = connection.recv()
    work_in_flight = memoryview(mmap.mmap(-1, _NUMBER_BYTES)).cast(
        "q"
    )  # the number of the request that is being answered
    _tell(connection, 0, READY)
    while True:
        if (pid := os.fork()) == 0:
            _read_on(connection, settings, roots, work_in_flight)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code == 0:
            return
        if work_in_flight[0]:  # else it was killed while it waited: nobody asks for it
            _tell(connection, work_in_flight[0], _cause_of_death(code))
            work_in_flight[0] = 0


def _read_on(
    connection: Connection, settings: TrialSettings, roots: dict[str, Path], work_in_flight: memoryview
) -> NoReturn:
    """Read image after image; never comes back."""
    _end_with_parent()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # then no library, however stuck, can miss the alarm
    _limit_memory(settings.memory_bytes)
    code = 1
    try:
        while True:
            number, request = connection.recv()
            work_in_flight[0] = number
            _read(connection, number, request, settings, roots)
            work_in_flight[0] = 0
            connection.send_bytes(numbered(number, FINE))
    except MemoryError:
        code = _NO_MEMORY_LEFT
    except (EOFError, BrokenPipeError, ConnectionResetError):
        code = 0
    finally:
        os._exit(code)


def _read(
    connection: Connection, number: int, request: TrialRequest, settings: TrialSettings, roots: dict[str, Path]
) -> None:
    progress = numbered(number, PROGRESS)
    try:
        data = _bytes_of(connection, request, settings, roots)
        connection.send_bytes(progress)
        signal.setitimer(signal.ITIMER_REAL, settings.frame_seconds)
        dicom_image = read(data, limits=settings.limits, accept_raster=settings.accept_raster)
        for frame in dicom_image.frames():
            for spec in request.specs:
                prepare(frame, spec)
            signal.setitimer(signal.ITIMER_REAL, settings.frame_seconds)
            connection.send_bytes(progress)
    except (MemoryError, ConnectionError):
        raise
    except Exception:  # noqa: BLE001, S110 - that it can be read without harm is all that is asked here
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _bytes_of(connection: Connection, request: TrialRequest, settings: TrialSettings, roots: dict[str, Path]) -> bytes:
    if request.sends_bytes:
        return connection.recv_bytes()
    return fetch(request, roots=roots, max_bytes=settings.limits.file_bytes).data


def _cause_of_death(code: int) -> bytes:
    return {_NO_MEMORY_LEFT: NO_MEMORY, -signal.SIGALRM: TOO_SLOW}.get(code, DIED)


def _tell(connection: Connection, number: int, what: bytes) -> None:
    try:
        connection.send_bytes(numbered(number, what))
    except ConnectionError:
        sys.exit(0)


def _limit_memory(more_bytes: int) -> None:
    """Beyond what the process has already; and no core file, which would hold a patient's pixels."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _STATM.exists():
        has = int(_STATM.read_text("ascii").split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = has + more_bytes
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _end_with_parent() -> None:
    """SIGKILL when the parent dies, whatever this process is stuck in. Elsewhere than on Linux its end is the alarm."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PARENT_DEATH, signal.SIGKILL)


if __name__ == "__main__":
    logging.disable()  # what is to be said of an image is said where it is read in earnest
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)  # the worker processes have the other cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which hangs up when it is done
    serve(Connection(0))
