"""Many mutations, one after the other, each with an outcome whatever it does to the process that reads it."""

import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from fuzz.mutation import mutation
from fuzz.reader_process import FINDING, Observation, serve
from fuzz.seeds import Seed

MiB = 1024**2


@dataclass(frozen=True, kw_only=True, slots=True)
class CostLimits:
    """What one file may cost."""

    seconds: float = 10.0
    memory_bytes: int = 512 * MiB
    """Growth of resident memory; above it is a finding."""
    address_space: int = 2048 * MiB
    """Beyond what the process has after its first file: where this ends, the kernel says no."""


@dataclass(kw_only=True, slots=True)
class Totals:
    """What became of all of them."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Observation] = field(default_factory=list)
    slowest: Observation | None = None
    largest: Observation | None = None
    total_seconds: float = 0.0
    peak_bytes: int = 0
    """Resident memory of the reading process, at most."""

    def add(self, seen: Observation) -> None:
        """Count one."""
        self.outcomes[seen.outcome] += 1
        self.total_seconds += seen.seconds
        self.peak_bytes = max(self.peak_bytes, seen.peak_bytes)
        if seen.outcome.startswith(FINDING):
            self.findings.append(seen)
        if self.slowest is None or seen.seconds > self.slowest.seconds:
            self.slowest = seen
        if self.largest is None or seen.grown_bytes > self.largest.grown_bytes:
            self.largest = seen


def run(
    numbers: Iterable[int],
    *,
    files: tuple[Seed, ...],
    seed: int,
    limits: CostLimits,
    keep_in: Path | None = None,
    note: Callable[[Totals], None] | None = None,
) -> Totals:
    """Read each mutation in a child process. Those that are findings are kept as files in `keep_in`."""
    totals = Totals()
    with _ReaderProcess(files, seed, limits) as reader:
        for seen in map(reader.read, numbers):
            classified = _classified(seen, limits)
            totals.add(classified)
            if keep_in is not None and classified.outcome.startswith(FINDING):
                keep_in.mkdir(parents=True, exist_ok=True)
                (keep_in / f"{seed}-{seen.number}.dcm").write_bytes(mutation(files, seed, seen.number).data)
            if note is not None:
                note(totals)
    return totals


class _ReaderProcess:
    """A child process, and another one when that is gone."""

    def __init__(self, files: tuple[Seed, ...], seed: int, limits: CostLimits) -> None:
        self._files, self._seed, self._limits = files, seed, limits
        self._spawning = multiprocessing.get_context("forkserver")
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._end()

    def read(self, number: int) -> Observation:
        """What became of this one, be it the child's death."""
        try:
            self._connection.send(number)
            if self._connection.poll(self._limits.seconds):
                seen: Observation = self._connection.recv()
                return seen
            how = "hang"
        except (EOFError, ConnectionError):
            self._process.join()
            how = _cause(self._process.exitcode or 0)
        self._end()
        self._start()
        what = mutation(self._files, self._seed, number).what
        return Observation(number, f"{FINDING}: {how}", self._limits.seconds if how == "hang" else 0.0, 0, 0, what)

    def _start(self) -> None:
        self._connection, theirs = self._spawning.Pipe()
        arguments = (theirs, self._files, self._seed, self._limits.address_space)
        self._process = self._spawning.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()  # it has started, which is not on the clock

    def _end(self) -> None:
        self._process.kill()
        self._process.join()


def _classified(seen: Observation, limits: CostLimits) -> Observation:
    if seen.seconds > limits.seconds and not seen.outcome.startswith(FINDING):
        return seen._replace(outcome=f"{FINDING}: hang")  # its answer came at the very end
    if seen.grown_bytes > limits.memory_bytes and not seen.outcome.startswith(FINDING):
        return seen._replace(outcome=f"{FINDING}: memory")
    return seen


def _cause(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"
