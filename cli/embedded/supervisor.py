"""Start child processes, restart them with back-off, and stop them."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_LONGEST_PAUSE_SECONDS = 30.0
_STABLE_SECONDS = 60.0
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(kw_only=True)
class Child:
    """A process that is restarted when it ends."""

    name: str
    arguments: Sequence[str]
    environment: dict[str, str]
    folder: Path
    """Working directory. It must contain no Python modules, because Celery puts it first on the import path."""
    log_file: Path
    restarts: int = 0
    """Number of restarts since the process last ran for a minute."""
    process: subprocess.Popen[bytes] | None = None
    monotonic: Callable[[], float] = time.monotonic
    _started_at: float = 0.0
    _next_start: float = 0.0
    _pause_seconds: float = field(default=0.5)

    def start(self) -> None:
        """Start the process in its own process group.

        Ctrl-C then reaches only the supervisor, and the supervisor stops the process.
        """
        self._started_at = self.monotonic()
        self.process = spawn(self.arguments, self.log_file, folder=self.folder, environment=self.environment)

    @property
    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def seconds(self) -> float:
        """Return the seconds since the last start; 0 while the process does not run."""
        return self.monotonic() - self._started_at if self.is_alive else 0.0

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        if self.process is not None and self.is_alive:
            self.process.terminate()

    def kill(self) -> None:
        """Send SIGKILL to the process group, and wait for the end of the process."""
        if self.process is not None and self.is_alive:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def supervise(self) -> str | None:
        """Restart the process if it ended and its pause is over. Returns a message for the operator, or None."""
        if self.process is None:
            if self.monotonic() < self._next_start:
                return None
            self.start()
            self.restarts += 1
            return f"{self.name} was restarted"
        code = self.process.poll()
        if code is None:
            return None
        self._plan_restart()
        pause = self._next_start - self.monotonic()
        return f"{self.name} ended ({_describe(code)}); restart in {pause:.0f} s. Log: {self.log_file}"

    def _plan_restart(self) -> None:
        ran_long = self.monotonic() - self._started_at > _STABLE_SECONDS
        self.restarts = 0 if ran_long else self.restarts
        self._pause_seconds = 1.0 if ran_long else min(_LONGEST_PAUSE_SECONDS, self._pause_seconds * 2)
        self._next_start = self.monotonic() + self._pause_seconds
        self.process = None


def spawn(
    arguments: Sequence[str], log_file: Path, *, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in its own process group. It inherits the environment, and on Linux it ends with its parent."""
    with log_file.open("ab") as output:
        return subprocess.Popen(
            arguments,
            env={**os.environ, **(environment or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, which takes no lock
            process_group=0,
        )


def end(children: Iterable[Child], *, seconds: float) -> None:
    """Send SIGTERM to all children; after `seconds`, send SIGKILL to the groups of processes that still run."""
    processes = [child.process for child in children if child.process is not None]
    alive = [process for process in processes if process.poll() is None]
    for process in alive:
        process.terminate()
    deadline = time.monotonic() + seconds
    for process in alive:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("a process did not stop in time and was killed", extra={"pid": process.pid})
            os.killpg(process.pid, signal.SIGKILL)  # the process group, so that no grandchild is orphaned
            process.wait()


def _end_with_parent() -> None:
    """Make the kernel send SIGTERM to the child if this process dies (Linux); runs in the child before exec."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _describe(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
