"""Read mutations in a process of its own, so that a crash or a hang affects only one file."""

import resource
import traceback
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from fuzz.cost import measured
from fuzz.mutation import mutation
from fuzz.outcome import outcome_of
from fuzz.seeds import Seed

FINDING = "finding"


class Observation(NamedTuple):
    """The outcome and the cost of one mutation."""

    number: int
    outcome: str
    seconds: float
    grown_bytes: int
    peak_bytes: int
    what: str
    """The changes of the file, and the traceback of a finding."""


def serve(connection: Connection, files: tuple[Seed, ...], seed: int, address_space: int) -> None:
    """Send an Observation for each number that is received, until the connection is closed. Linux only (/proc)."""
    warnings.simplefilter("ignore")
    for file in files:
        outcome_of(file.data)  # so that memory that the libraries keep is not attributed to a mutation
    already = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (already + address_space, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection.send(None)
    while True:
        try:
            number = connection.recv()
        except EOFError:
            return
        connection.send(_observe(files, seed, number))


def _observe(files: tuple[Seed, ...], seed: int, number: int) -> Observation:
    _, data, what = mutation(files, seed, number)
    (outcome, trace), cost = measured(lambda: _outcome_or_finding(data))
    return Observation(number, outcome, *cost, f"{what}\n{trace}" if trace else what)


def _outcome_or_finding(data: bytes) -> tuple[str, str]:
    try:
        return outcome_of(data), ""
    except Exception as error:  # noqa: BLE001 - any exception is a finding
        return f"{FINDING}: {type(error).__name__}", traceback.format_exc()
