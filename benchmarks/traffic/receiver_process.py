"""Run `nightread receive` as a process with a database of its own, and measure its memory."""

import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.traffic.honest import ADDRESS, TITLE
from db import schema
from db.engine import open_database

_START_SECONDS, _STOP_SECONDS = 30.0, 20.0
_SAMPLE_SECONDS = 1.0
_WARM_SECONDS = 60.0
"""After this time each kind of stranger has connected, so that threads and libraries have allocated what they keep."""
_SETTINGS = """
redis_url = "redis://127.0.0.1:1"
max_file_bytes = {max_file_bytes}

[[sources]]
kind = "receiver"
name = "plain"
port = {port}
idle_seconds = 10
callers = [{callers}]
"""
_TLS = """
[[sources]]
kind = "receiver"
name = "tls"
port = {port}
idle_seconds = 10
callers = [{callers}]
tls = {{ certificate = "{certificate}", key = "{key}" }}
"""
_MAX_FILE_BYTES = 4 * 1024**2


@dataclass(kw_only=True)
class ReceiverProcess:
    """A running receiver with its ports and the samples of its resident memory."""

    state: Path
    port: int
    tls_port: int | None
    certificate: Path | None
    process: psutil.Popen
    memory: list[tuple[float, int]] = field(default_factory=list)
    """Samples: the time since the start in seconds, and the resident memory in bytes."""

    @property
    def url(self) -> str:
        """The URL of its database."""
        return _url(self.state)

    def early_and_late_memory(self) -> tuple[float, float]:
        """Return the resident memory early and at the end, as medians of a tenth of the time each.

        The early part begins after a tenth of the time, or after a minute if that is later, but at most after half.
        """
        end = self.memory[-1][0]
        early = max(0.1 * end, min(_WARM_SECONDS, 0.5 * end))
        return self._memory(early, early + 0.1 * end), self._memory(0.9 * end, end)

    def _memory(self, since: float, until: float) -> float:
        found = [size for at, size in self.memory if since <= at <= until]
        return statistics.median(found or [size for _, size in self.memory])


@contextmanager
def running(folder: Path, listed: Sequence[str]) -> Iterator[ReceiverProcess]:
    """Run a receiver that allows the honest callers and these addresses. With openssl, it has TLS on another port."""
    state = folder / "state"
    state.mkdir(mode=0o700)
    with closing(open_database(_url(state), durable=True)) as database:
        schema.upgrade(database)
    certificate, key = _certificate(folder)
    port, tls_port = _free_port(), _free_port() if certificate else None
    callers = [f'{{ address = "{address}" }}' for address in listed]
    callers.append(f'{{ ae_title = "{TITLE}", address = "{ADDRESS}" }}')
    text = _SETTINGS.format(port=port, callers=", ".join(callers), max_file_bytes=_MAX_FILE_BYTES)
    if certificate:
        text += _TLS.format(port=tls_port, callers=", ".join(callers), certificate=certificate, key=key)
    config = folder / "night.toml"
    config.write_text(text)
    command = [sys.executable, "-m", "cli", "receive", "--config", str(config), "--state", str(state)]
    with (folder / "receiver.log").open("wb") as log:
        process = psutil.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    receiver = ReceiverProcess(state=state, port=port, tls_port=tls_port, certificate=certificate, process=process)
    done = threading.Event()
    sampling = threading.Thread(target=_sample, args=(receiver, done), daemon=True)
    try:
        for one in (port, tls_port):
            _wait_for(one, process)
        sampling.start()
        yield receiver
    finally:
        done.set()
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait()


def _sample(receiver: ReceiverProcess, done: threading.Event) -> None:
    began = time.monotonic()
    while not done.is_set():
        try:
            receiver.memory.append((time.monotonic() - began, receiver.process.memory_info().rss))
        except psutil.NoSuchProcess:
            return
        done.wait(_SAMPLE_SECONDS)


def _wait_for(port: int | None, process: psutil.Popen) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while port is not None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the receiver does not start: read receiver.log") from None
            time.sleep(0.1)
        else:
            return


def _certificate(folder: Path) -> tuple[Path | None, Path | None]:
    openssl = shutil.which("openssl")
    if openssl is None:
        return None, None
    certificate, key = folder / "own.pem", folder / "own.key"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    paths = ["-keyout", str(key), "-out", str(certificate), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *paths], check=True, capture_output=True)
    return certificate, key


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _url(state: Path) -> str:
    return f"sqlite:///{state / 'nightread.sqlite3'}"
