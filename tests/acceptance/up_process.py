"""Run `nightread up` for tests that use it and kill its processes."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
from compose_processes import free_port
from dicom_files import cine, phantom
from flower_client import Flower
from nightread_process import POLL_SECONDS, database_of, started, wait_until
from redis import Redis
from redis.exceptions import RedisError

from db import queries

FRAMES = 60
_SETTINGS = {
    "LEASE_SECONDS": 20,
    "IMAGE_TIMEOUT_SECONDS": 15,
    "RETRY_LIMIT": 2,
    "RETRY_BASE_SECONDS": 0.5,
    "ARRIVAL_TIMEOUT_SECONDS": 1,
}


@dataclass(kw_only=True)
class UpProcess:
    """One state folder and one inbox, with the process that runs on them."""

    folder: Path
    port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    dropped: int = 0
    posted: int = 0
    """Images among the dropped ones that the API received: they are in the database, and not in the inbox."""
    traffic: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.inbox, self.state, self.output = (self.folder / name for name in ("inbox", "state", "output"))
        self.flower = Flower(self.port, self.state)
        (self.folder / "transfer").mkdir()
        self.inbox.mkdir()

    def up(self) -> Any:
        """Start `nightread up`."""
        arguments = ("up", "--inbox", self.inbox, "--state", self.state, "--model", "phantom", "--workers", "2")
        return started(
            *arguments, "--flower-port", self.port, "--api-port", self.api_port, output=self.output, **_SETTINGS
        )

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Yield the process that runs; if it has ended, start `nightread up` again on the same state."""
        if self.process is not None and self.process.poll() is None:
            yield self.process
            return
        with self.up() as self.process:
            yield self.process

    def api(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """Call the HTTP API; the answer is {} while it does not respond."""
        headers = {"Content-Type": "application/dicom"}
        try:
            answer = requests.request(
                method, f"http://127.0.0.1:{self.api_port}{path}", data=body, headers=headers, timeout=60
            )
        except requests.ConnectionError:
            return {}
        found: dict[str, Any] = answer.json()
        return found

    def post(self, content: bytes, *, wait_seconds: int) -> dict[str, Any]:
        """Send an image to the HTTP API, which answers when the image has its outcome or `wait_seconds` are over."""
        self.dropped += 1
        self.posted += 1
        return self.api("POST", f"/v1/images?wait={wait_seconds}", content)

    def drop(self, name: str, content: bytes) -> None:
        """Write a file elsewhere and move it into the inbox."""
        self.dropped += 1
        path = self.inbox / name
        path.parent.mkdir(exist_ok=True)
        (self.folder / "transfer" / "file").write_bytes(content)
        (self.folder / "transfer" / "file").rename(path)

    def drop_phantoms(self, count: int) -> None:
        """Drop `count` new scans."""
        for _ in range(count):
            self.drop(f"scan-{self.dropped}.dcm", phantom(1000 + self.dropped))

    def drop_cine_and_wait_until_it_runs(self) -> None:
        """Drop a scan whose analysis takes seconds, and wait until it is running."""
        self.drop(f"cine-{self.dropped}.dcm", cine(1000 + self.dropped, FRAMES))
        wait_until(lambda: self.tally().running > 0, seconds=90, what=self.describe)

    def tally(self) -> queries.Tally:
        """Return the counts, as `status` does."""
        with database_of(self.state) as database:
            return queries.tally(database)

    def all_final(self) -> bool:
        """Return whether each dropped file has its outcome."""
        tally = self.tally()
        return (tally.arrived, tally.unfinished) == (self.dropped, 0)

    def wait_until_all_final(self, seconds: float = 90) -> None:
        """Wait until each dropped file has its outcome."""
        wait_until(self.all_final, seconds=seconds, what=self.describe)

    def describe(self) -> str:
        """Return counts, output and logs for the message of a failed test."""
        logs = [path.read_text("utf-8", "replace")[-2000:] for path in (self.state / "logs").glob("*.log")]
        return "\n".join([f"{self.dropped} dropped, {self.tally()}", self.output.read_text(), *logs])

    def family(self) -> list[psutil.Process]:
        """Return `up` and all its descendants."""
        assert self.process is not None
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def find(self, words: str) -> list[psutil.Process]:
        """Return the direct children whose command line has these words."""
        assert self.process is not None
        return [child for child in psutil.Process(self.process.pid).children() if words in _command_of(child)]


def _command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it has ended, or it is a zombie
        return ""


class recorded_traffic:  # noqa: N801 - used like a context manager function
    """Record the commands that the Redis of `up` receives with MONITOR, also after it was restarted."""

    def __init__(self, up: UpProcess) -> None:
        self._client = Redis.from_url((up.state / "redis.url").read_text())
        self._commands = up.traffic
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._listening = threading.Event()
        self._stop = threading.Event()

    def __enter__(self) -> None:
        self._thread.start()
        assert self._listening.wait(10)

    def __exit__(self, *_raised: object) -> None:
        self._stop.set()
        self._client.close()

    def _listen(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            try:
                with self._client.monitor() as monitor:
                    self._listening.set()
                    for command in monitor.listen():
                        self._commands.append(str(command["command"]))
            except (RedisError, OSError, ValueError):
                continue  # Redis was killed
