"""Start processes, and restart them when they die."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_POLL_SECONDS = 0.05
_MIN_RESTART_SECONDS = 0.5
"""The shortest time between two starts, so that a process that cannot start does not overload the machine."""


@dataclass(kw_only=True)
class SupervisedProcess:
    """One process, which is restarted when it dies."""

    name: str
    arguments: Sequence[str | Path]
    environment: Mapping[str, str]
    folder: Path
    log_file: Path
    user: str | None = None
    starts: int = 0
    wanted: bool = False
    process: subprocess.Popen[bytes] | None = None
    _started_at: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Start the process, and restart it from now on when it dies."""
        self.wanted = True
        self.restart_if_dead()

    def restart_if_dead(self) -> None:
        """Start the process if it should run and is dead."""
        with self._lock:
            due = time.monotonic() - self._started_at >= _MIN_RESTART_SECONDS
            if self.wanted and due and not self.is_alive:
                self._start()

    @property
    def is_alive(self) -> bool:
        """Whether the process exists, running or stopped by a signal."""
        return self.process is not None and self.process.poll() is None

    @property
    def children(self) -> list[psutil.Process]:
        """The direct children of the process."""
        with suppress(psutil.NoSuchProcess):
            if self.process is not None and self.is_alive:
                return psutil.Process(self.process.pid).children()
        return []

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 20) -> bool:
        """Stop the process with a signal, and no longer restart it. Return False if its group had to be killed."""
        with self._lock:
            self.wanted = False
        if self.process is None:
            return True
        self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return False
        return True

    def _start(self) -> None:
        self._started_at = time.monotonic()
        self.starts += 1
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(
                list(self.arguments),
                env=dict(self.environment),
                cwd=self.folder,
                user=self.user,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )


class Supervisor:
    """A thread that restarts dead processes for as long as the context lasts; it stops none of them."""

    def __init__(self, supervised: Iterable[SupervisedProcess]) -> None:
        self._kept = list(supervised)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_raised: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            for supervised in self._kept:
                supervised.restart_if_dead()
