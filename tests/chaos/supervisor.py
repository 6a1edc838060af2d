"""Processes that are meant to run, and who starts them again at once."""

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
"""Between two starts of one process: one that cannot start must not take the machine."""


@dataclass(kw_only=True)
class SupervisedProcess:
    """One process."""

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
        """From now on it is to run."""
        self.wanted = True
        self.restart_if_dead()

    def restart_if_dead(self) -> None:
        """Start it if it should run and does not."""
        with self._lock:
            due = time.monotonic() - self._started_at >= _MIN_RESTART_SECONDS
            if self.wanted and due and not self.is_alive:
                self._start()

    @property
    def is_alive(self) -> bool:
        """Whether it runs, or is stopped by a signal and would go on."""
        return self.process is not None and self.process.poll() is None

    @property
    def children(self) -> list[psutil.Process]:
        """Its direct children."""
        with suppress(psutil.NoSuchProcess):
            if self.process is not None and self.is_alive:
                return psutil.Process(self.process.pid).children()
        return []

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 20) -> bool:
        """Ask it to end, for good unless it is supervised again. False where it had to be killed, with its children."""
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
    """Looks after processes in a thread for as long as the context lasts; it ends none of them."""

    def __init__(self, supervised: Iterable[SupervisedProcess]) -> None:
        self._kept = list(supervised)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_raised: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            for supervised in self._kept:
                supervised.restart_if_dead()
