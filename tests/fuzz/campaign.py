"""Read many mutations in a child process, and record an outcome for each, even if the process dies or hangs."""

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
    """The limits on the cost of one file; above a limit it is a finding."""

    seconds: float = 10.0
    memory_bytes: int = 512 * MiB
    """Growth of resident memory."""
    address_space: int = 2048 * MiB
    """Growth of the address space after the first files; the kernel refuses to give more (RLIMIT_AS)."""


@dataclass(kw_only=True, slots=True)
class Totals:
    """The outcomes and costs of a campaign."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Observation] = field(default_factory=list)
    slowest: Observation | None = None
    largest: Observation | None = None
    total_seconds: float = 0.0
    peak_bytes: int = 0
    """The highest resident memory of the reading process."""

    def add(self, seen: Observation) -> None:
        """Add the outcome and the cost of one mutation."""
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
    on_progress: Callable[[Totals], None] | None = None,
) -> Totals:
    """Read each mutation in a child process, and write those that are findings to `keep_in`."""
    totals = Totals()
    with _ReaderProcess(files, seed, limits) as reader:
        for seen in map(reader.read, numbers):
            classified = _classified(seen, limits)
            totals.add(classified)
            if keep_in is not None and classified.outcome.startswith(FINDING):
                keep_in.mkdir(parents=True, exist_ok=True)
                (keep_in / f"{seed}-{seen.number}.dcm").write_bytes(mutation(files, seed, seen.number).data)
            if on_progress is not None:
                on_progress(totals)
    return totals


class _ReaderProcess:
    """A child process that reads mutations; it is replaced when it dies or hangs."""

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
        """Return the observation of one mutation. The death of the child process is an outcome, too."""
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
        self._connection, child_end = self._spawning.Pipe()
        arguments = (child_end, self._files, self._seed, self._limits.address_space)
        self._process = self._spawning.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        child_end.close()
        self._connection.recv()  # wait until it has started: its start does not count as reading time

    def _end(self) -> None:
        self._process.kill()
        self._process.join()


def _classified(seen: Observation, limits: CostLimits) -> Observation:
    if seen.seconds > limits.seconds and not seen.outcome.startswith(FINDING):
        return seen._replace(outcome=f"{FINDING}: hang")  # the result arrived just before the time-out
    if seen.grown_bytes > limits.memory_bytes and not seen.outcome.startswith(FINDING):
        return seen._replace(outcome=f"{FINDING}: memory")
    return seen


def _cause(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"
