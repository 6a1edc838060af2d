"""Run tests in a forked process, with or without a mutant.

The parent process imports the libraries, but no module of the repository and no test. A child imports these, and gets
the changed code for one module. That takes a second instead of the three of a new interpreter.
"""

import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import CodeType
from typing import TypeVar

import pytest

_MARKERS = "not servers and not slow"
_NO_TESTS, _CRASHED = 5, 99
_PAUSE_SECONDS = 0.02
_LEAST_SECONDS, _TIMES_LONGER = 20, 10
"""Limit of the CPU time of a trial, beside the duration of its tests."""
_HANG_SECONDS, _HANG_TIMES = 120, 40
"""Limit of its duration; generous, because the machine may be busy."""
_MOST_BYTES = 8 * 1024**3
"""Limit of memory, and of the size of a file: a mutant may allocate or write without end."""
_LOGS = 100
"""The logs of this many trials are kept."""
Key = TypeVar("Key")


class Verdict(StrEnum):
    """The result of one mutant."""

    KILLED = "killed"
    """A test failed or could not be run, so the change was noticed."""
    TIMEOUT = "timeout"
    """The tests took ten times as long; that counts as noticed."""
    SURVIVED = "survived"
    UNTESTED = "untested"
    """No test calls the changed function; it counts as not noticed."""


class _ChangedCode(importlib.machinery.SourceFileLoader):
    """Loads a module from changed code."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - the signature is that of the import system
        """Return the changed code instead of that of the file."""
        return self._code


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the changed module before the import system finds its file."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        self._name, self._path = name, path
        self._loader = _ChangedCode(name, path, code)

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Return the specification of the changed module; None for all other modules."""
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self._loader)


def import_libraries(names: Sequence[str]) -> None:
    """Import what the tests import from libraries, so that children need not."""
    for name in (*names, "hypothesis"):  # its plugin imports it at the end of each run
        if name not in sys.modules:
            with suppress(Exception):  # a module that another one made under a name of its own: the child imports it
                importlib.import_module(name)
    gc.freeze()  # pytest collects garbage in each child
    sys.dont_write_bytecode = False  # pytest keeps its rewritten tests


def run_tests(arguments: Sequence[str], plugins: Sequence[object] = ()) -> int:
    """Run pytest in this process; return its exit code. Tests that need a server or take long are left out."""
    quiet = ["-q", "-p", "no:cacheprovider", "--no-header", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*quiet, "-m", _MARKERS, *arguments], plugins=list(plugins)))


def fork(action: Callable[[], int], *, output: Path) -> int:
    """Run the action in a child process, whose output goes into a file; return the child's process id."""
    pid = os.fork()
    if pid:
        return pid
    code = _CRASHED
    try:
        os.setsid()
        descriptor = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        code = action()
    except BaseException:  # noqa: BLE001 - a child must not go on as if it were the parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The tests to run with one changed module."""

    module: str
    """The module as it is imported, such as `imaging.frames`."""
    path: str
    code: CodeType
    tests: Sequence[str]
    seconds: float
    """The duration of the tests without a change."""


def run_trials(trials: Iterable[tuple[Key, Trial]], *, processes: int, folder: Path) -> Iterator[tuple[Key, Verdict]]:
    """Run trials in this number of processes at a time; yield the verdict of each when it ends, with its key."""
    running: dict[int, tuple[Key, float]] = {}
    try:
        for number, (key, trial) in enumerate(trials):
            if len(running) == processes:
                yield _next_verdict(running)
            pid = _start(trial, folder / f"trial-{number % _LOGS}.log")
            running[pid] = key, time.monotonic() + _HANG_SECONDS + _HANG_TIMES * trial.seconds
        while running:
            yield _next_verdict(running)
    finally:
        for pid in running:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _start(trial: Trial, output: Path) -> int:
    def action() -> int:
        limit = int(_LEAST_SECONDS + _TIMES_LONGER * trial.seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
        for kind in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
            resource.setrlimit(kind, (_MOST_BYTES, _MOST_BYTES))
        sys.meta_path.insert(0, _Finder(trial.module, trial.path, trial.code))
        return run_tests(["-x", *trial.tests])

    return fork(action, output=output)


def _next_verdict(running: dict[int, tuple[Key, float]]) -> tuple[Key, Verdict]:
    """Wait until a trial ends, or kill its process group at its deadline."""
    while True:
        for pid, (key, deadline) in running.items():
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del running[pid]
                return key, verdict_of(status)
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
        time.sleep(_PAUSE_SECONDS)


def verdict_of(status: int) -> Verdict:
    """Return what the exit status of a trial means. Raises RuntimeError if no test was run."""
    if os.WIFSIGNALED(status):
        return Verdict.TIMEOUT
    code = os.WEXITSTATUS(status)
    if code in (_NO_TESTS, _CRASHED):
        raise RuntimeError(f"a trial ended with exit code {code}; read build/mutants/trial-*.log")
    return Verdict.KILLED if code else Verdict.SURVIVED
