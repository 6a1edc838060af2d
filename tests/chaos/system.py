"""The system under test: producer, dispatcher, worker, Redis and database, each a process of its own."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from db import schema
from db.engine import Database, open_database

from .part import Part
from .servers import Postgres, RedisServer, wait_until
from .transitions import note_transitions

LEASE_SECONDS = 5
_DISK_MIB = 192
_FAULTS = Path(__file__).parents[1] / "faults"
_KNOBS = {
    "MODEL": "phantom",
    "WORKERS": 2,
    "LEASE_SECONDS": LEASE_SECONDS,
    "IMAGE_TIMEOUT_SECONDS": LEASE_SECONDS,
    "ARRIVAL_TIMEOUT_SECONDS": 3,
    "SETTLE_SECONDS": 1,
    "SCAN_SECONDS": 2,
    "BATCH_IMAGES": 64,
    "DISK_RESERVE_BYTES": 4 * 1024**2,
}


class System:
    """Everything of one run lives below one folder."""

    def __init__(self, folder: Path, kind: str) -> None:
        """`kind` is `sqlite` or `postgresql`."""
        self.folder = folder
        self.kind = kind
        self.inbox, self.transfer, self.logs, self.tokens, self.disk = (
            folder / name for name in ("inbox", "transfer", "logs", "tokens", "disk")
        )
        for place in (self.inbox, self.transfer, self.logs, self.tokens, self.disk):
            place.mkdir()
        self.has_small_disk = _mounted(self.disk)
        self.redis = RedisServer(folder / "redis")
        self.redis.start()
        self.postgres = Postgres(folder / "postgres") if kind == "postgresql" else None
        self.url = self.postgres.url if self.postgres else f"sqlite:///{self.disk / 'nightread.sqlite3'}"
        self.parts = {
            "producer": self._part("producer", "cli", "watch", "--inbox", str(self.inbox)),
            "dispatcher": self._part("dispatcher", "cli", "dispatch"),
            "worker": self._part("worker", "cli", "worker"),
        }

    @property
    def environment(self) -> dict[str, str]:
        """Of every process of ours: settings, and the fault injector."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTREAD_")}
        knobs = {
            **_KNOBS,
            "STATE_DIR": self.disk,
            "DATABASE_URL": self.url,
            "REDIS_URL": self.redis.url,
        }
        settings = {f"NIGHTREAD_{name}": str(value) for name, value in knobs.items()}
        return {**inherited, **settings, "PYTHONPATH": str(_FAULTS), "FAULTS_FOLDER": str(self.tokens)}

    def keep(self) -> None:
        """What a supervisor does."""
        for part in self.parts.values():
            part.keep()

    def worker_children(self) -> list[psutil.Process]:
        """Processes of the worker's pool."""
        worker = self.parts["worker"].process
        return worker.children() if worker else []

    def random_child(self, rng: random.Random) -> psutil.Process | None:
        """One of them; None while the worker has none."""
        children = self.worker_children()
        return rng.choice(children) if children else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else may write to the SQLite file."""
        connection = sqlite3.connect(self.disk / "nightread.sqlite3", timeout=60, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Not a byte left where state and SQLite live."""
        ballast = self.disk / "ballast"
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(bytes(65536))
                    file.flush()
            except OSError:
                pass  # full
        try:
            yield
        finally:
            ballast.unlink()

    def orphans(self) -> list[psutil.Process]:
        """Processes of ours that are still there."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`nightread ...` on this system, to its end."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def stop(self) -> None:
        """Ours in order, then the servers."""
        for part in self.parts.values():
            part.stop()
        self.redis.kill(forget=False)
        if self.postgres:
            self.postgres.stop()
        if self.has_small_disk:
            kept = self.folder / "state"
            shutil.copytree(self.disk, kept)
            subprocess.run(["umount", "-l", str(self.disk)], check=True)

    def _part(self, name: str, *command: str) -> Part:
        arguments = [sys.executable, "-P", "-m", *command]
        return Part(name, arguments, self.logs / f"{name}.log", self.environment)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("FAULTS_FOLDER") == str(self.tokens)
        except psutil.Error:
            return False


@contextmanager
def started_system(folder: Path, kind: str) -> Iterator[tuple[System, Database]]:
    """A system whose worker is ready, and its database, in which each change of state is noted."""
    system = System(folder, kind)
    database = open_database(system.url)
    try:
        schema.upgrade(database)
        note_transitions(database)
        system.keep()
        wait_until(lambda: len(system.worker_children()) == _KNOBS["WORKERS"], 60)
        yield system, database
    finally:
        database.close()
        system.stop()


def _mounted(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MIB}m,mode=0777", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
