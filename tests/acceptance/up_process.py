"""A `nightread up` for tests to use and to hurt."""

import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from compose_processes import free_port
from dicom_files import cine, phantom
from flower import Flower
from nightread_process import LOOK_SECONDS, record_of, started, wait_until
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
    """One state folder and one inbox, and who runs on them at the moment."""

    folder: Path
    port: int = field(default_factory=free_port)
    dropped: int = 0
    traffic: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.inbox, self.state, self.output = (self.folder / name for name in ("inbox", "state", "output"))
        self.flower = Flower(self.port)
        (self.folder / "transfer").mkdir()
        self.inbox.mkdir()

    def up(self) -> Any:
        """Start it."""
        arguments = ("up", "--inbox", self.inbox, "--state", self.state, "--model", "phantom", "--workers", "2")
        return started(*arguments, "--flower-port", self.port, output=self.output, **_SETTINGS)

    def drop(self, name: str, content: bytes) -> None:
        """As a careful sender does: write elsewhere, then rename."""
        self.dropped += 1
        path = self.inbox / name
        path.parent.mkdir(exist_ok=True)
        (self.folder / "transfer" / "file").write_bytes(content)
        (self.folder / "transfer" / "file").rename(path)

    def drop_phantoms(self, count: int) -> None:
        """Scans that were never seen before."""
        for _ in range(count):
            self.drop(f"scan-{self.dropped}.dcm", phantom(1000 + self.dropped))

    def drop_cine_and_wait_until_it_runs(self) -> None:
        """Work that takes seconds, under way."""
        self.drop(f"cine-{self.dropped}.dcm", cine(1000 + self.dropped, FRAMES))
        wait_until(lambda: self.tally().running > 0, seconds=40, what=self.looks)

    def tally(self) -> queries.Tally:
        """As `status` tells it."""
        with record_of(self.state) as database:
            return queries.tally(database)

    def all_final(self) -> bool:
        """Whether each file that was dropped has its outcome."""
        tally = self.tally()
        return (tally.arrived, tally.unfinished) == (self.dropped, 0)

    def wait_until_all_final(self, seconds: float = 40) -> None:
        """Each dropped file has its outcome."""
        wait_until(self.all_final, seconds=seconds, what=self.looks)

    def looks(self) -> str:
        """For the message of a test that fails."""
        logs = [path.read_text("utf-8", "replace")[-2000:] for path in (self.state / "logs").glob("*.log")]
        return "\n".join([f"{self.dropped} dropped, {self.tally()}", self.output.read_text(), *logs])

    def family(self) -> list[psutil.Process]:
        """`up` and all that descends from it."""
        assert self.process is not None
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def find(self, words: str) -> list[psutil.Process]:
        """Children whose command line has these words; not their own children."""
        assert self.process is not None
        return [child for child in psutil.Process(self.process.pid).children() if words in _command_of(child)]


def _command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it ended meanwhile, or `up` has not waited for it yet
        return ""


class overheard:  # noqa: N801 - reads like the function it might be
    """MONITOR of the site's Redis, also of the one that takes its place."""

    def __init__(self, up: UpProcess) -> None:
        self._client = Redis.from_url((up.state / "redis.url").read_text())
        self._heard = up.traffic
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._listening = threading.Event()
        self._over = threading.Event()

    def __enter__(self) -> None:
        self._thread.start()
        assert self._listening.wait(10)

    def __exit__(self, *_raised: object) -> None:
        self._over.set()
        self._client.close()

    def _listen(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                with self._client.monitor() as monitor:
                    self._listening.set()
                    for command in monitor.listen():
                        self._heard.append(str(command["command"]))
            except (RedisError, OSError, ValueError):
                continue  # Redis was killed
