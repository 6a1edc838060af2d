"""Run Redis and PostgreSQL as supervised processes, which can be killed and restarted with or without their data."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg
from redis import Redis
from redis.exceptions import RedisError

from chaos.supervisor import SupervisedProcess
from chaos.waiting import wait_until
from cli.embedded.redis_server import find_redis_server
from nightread.settings import load_settings

_START_SECONDS = 30
_DURABILITY_OFF = ("fsync", "full_page_writes")
"""Settings against a crash of the machine, which is not tested here. A commit still survives a killed process."""


class SupervisedRedis:
    """A Redis with an append-only file on a Unix socket."""

    def __init__(self, folder: Path, environment: Mapping[str, str], logs: Path) -> None:
        self._files, socket = folder / "redis", folder / "r.sock"
        self._files.mkdir()
        self.url = f"unix://{socket}?db=0"
        place = ["--port", "0", "--unixsocket", str(socket), "--dir", str(self._files)]
        persistence = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        self.supervised = SupervisedProcess(
            name="redis",
            arguments=[find_redis_server(load_settings()), *place, *persistence],
            environment=environment,
            folder=folder,
            log_file=logs / "redis.log",
        )

    def wait_until_ready(self) -> None:
        """Wait until the server accepts connections. Raises WaitTimeoutError."""
        wait_until(self.accepts_connections, seconds=_START_SECONDS, what="Redis answers")

    def accepts_connections(self) -> bool:
        """Return whether Redis accepts commands."""
        with Redis.from_url(self.url, socket_timeout=1) as client:
            try:
                return bool(client.ping())
            except (RedisError, OSError):
                return False

    def delete_files(self) -> None:
        """Delete the append-only file, so that Redis starts empty."""
        shutil.rmtree(self._files)
        self._files.mkdir()

    def flush(self) -> None:
        """Delete all data while Redis runs."""
        with Redis.from_url(self.url) as client:
            client.flushall()


class SupervisedPostgres:
    """A PostgreSQL cluster on a Unix socket. It runs as `nobody` if this user is root, which PostgreSQL refuses."""

    def __init__(self, folder: Path, sockets: Path, environment: Mapping[str, str], logs: Path) -> None:
        user = "nobody" if os.getuid() == 0 else None
        self._sockets = sockets
        for place in (folder, sockets):
            place.mkdir()
            if user:
                shutil.chown(place, user)
        binaries = _postgres_binaries()
        data = folder / "data"
        small = ["--wal-segsize=1", "-A", "trust", "-E", "UTF8", "-N"]
        initialise: list[str | Path] = [binaries / "initdb", "-D", data, "-U", "postgres", *small]
        subprocess.run(initialise, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)
        options = ["-cmax_wal_size=32MB", "-cmin_wal_size=4MB", *(f"-c{name}=off" for name in _DURABILITY_OFF)]
        self.url = f"postgresql+psycopg://postgres@/postgres?host={sockets}"
        self.supervised = SupervisedProcess(
            name="postgresql",
            arguments=[binaries / "postgres", "-D", data, "-k", sockets, "-h", "", *options],
            environment=environment,
            folder=folder,
            log_file=logs / "postgresql.log",
            user=user,
        )

    def wait_until_ready(self) -> None:
        """Wait until the server accepts connections. Raises WaitTimeoutError."""
        wait_until(self.accepts_connections, seconds=_START_SECONDS, what="PostgreSQL answers")

    def accepts_connections(self) -> bool:
        """Return whether PostgreSQL accepts connections."""
        try:
            psycopg.connect(host=str(self._sockets), user="postgres", dbname="postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def _postgres_binaries() -> Path:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not (installed or on_path):
        raise FileNotFoundError("PostgreSQL is not installed: initdb was not found")
    return (installed[-1] if installed else Path(on_path or "").resolve()).parent
