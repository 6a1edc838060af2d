"""A process that is started again whenever it ends."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

_RESTART_SECONDS = 1.0


class Part:
    """One process of the system under test."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.starts = 0
        self._command = command
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._started = float("-inf")

    @property
    def process(self) -> psutil.Process | None:
        """The process, while it runs."""
        if self._process is None or self._process.poll() is not None:
            return None
        return psutil.Process(self._process.pid)

    def keep(self) -> None:
        """Start it if it does not run, as a supervisor would; at most once a second."""
        if self.process is not None or time.monotonic() - self._started < _RESTART_SECONDS:
            return
        self._started = time.monotonic()
        self.starts += 1
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def send(self, number: int) -> bool:
        """Send a signal; whether there was somebody to hear it."""
        process = self.process
        if process is not None:
            process.send_signal(number)
        return process is not None

    def stop(self) -> None:
        """In good order; by force after a while."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
