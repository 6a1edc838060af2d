"""Try the trials of a campaign in a process of its own, with an alarm for each."""

import logging
import resource
import signal
import time
import traceback
import warnings
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from fuzz.entrances.entrance import Entrance, Trial, trial
from fuzz.entrances.registry import ENTRANCES

WARM_UP = 20
"""Trials of each entrance before the limit of memory applies, so that what libraries keep does not count."""


class TooSlowError(BaseException):
    """A trial took too long. Not an Exception: what is tried must not catch it."""


class Finding(NamedTuple):
    """A trial with an outcome that nobody may see."""

    entrance: str
    number: int
    what: str
    """The exception and where it was raised, `hang`, or how the process died."""
    data: bytes


class Chunk(NamedTuple):
    """The outcomes of several trials of one entrance."""

    outcomes: Counter[str]
    findings: list[Finding]
    seconds: float
    slowest: float


class Request(NamedTuple):
    """What to try: the trials `first` to `end` (excluded) of an entrance, or the data if they are given."""

    entrance: str
    first: int
    end: int
    data: bytes | None = None


def serve(connection: Connection, progress: Any, seed: int, seconds: float, address_space: int) -> None:
    """Send a Chunk for each Request, until the connection is closed. `progress` holds the number of the trial."""
    warnings.simplefilter("ignore")
    logging.disable()
    signal.signal(signal.SIGALRM, _raise)
    _warm_up()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + address_space, resource.RLIM_INFINITY))
    connection.send(None)
    while True:
        try:
            request: Request = connection.recv()
        except EOFError:
            return
        connection.send(_tried(request, progress, seed, seconds))


def _warm_up() -> None:
    for entrance in ENTRANCES.values():
        for number in range(WARM_UP):
            _outcome(entrance, trial(entrance, 0, number), 60.0)


def _raise(*_: object) -> None:
    raise TooSlowError


def _tried(request: Request, progress: Any, seed: int, seconds: float) -> Chunk:
    entrance = ENTRANCES[request.entrance]
    outcomes: Counter[str] = Counter()
    findings: list[Finding] = []
    began, slowest = time.perf_counter(), 0.0
    for number in range(request.first, request.end):
        progress.value = number
        at = time.perf_counter()
        one = trial(entrance, seed, number) if request.data is None else Trial(number, request.data)
        outcome, finding = _outcome(entrance, one, seconds)
        outcomes[outcome] += 1
        findings += [finding] if finding else []
        slowest = max(slowest, time.perf_counter() - at)
    return Chunk(outcomes, findings, time.perf_counter() - began, slowest)


def _outcome(entrance: Entrance, one: Trial, seconds: float) -> tuple[str, Finding | None]:
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        outcome = entrance.enter(one.data)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except TooSlowError:
        return "finding", Finding(entrance.name, one.number, "hang", one.data)
    except Exception as error:  # noqa: BLE001 - any exception is a finding
        signal.setitimer(signal.ITIMER_REAL, 0)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno}, {frame.line})"
        return "finding", Finding(entrance.name, one.number, what, one.data)
    return outcome, None
