"""Run private Redis and PostgreSQL servers; the process that starts them also stops them."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import psycopg
import pytest
import skip_reasons
from databases import wait_for_thread_groups
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.engine import make_url

from cli.embedded.redis_server import find_redis_server
from db.engine import Database, open_database
from nightread.errors import StopWork
from nightread.settings import load_settings

START_SECONDS = 30
_numbers = count()


@dataclass(frozen=True)
class PostgresServer:
    """A server whose `template` database has the newest schema."""

    admin_url: str
    template: str = field(default_factory=lambda: f"nightread_template_{os.getpid()}")

    def url(self, name: str) -> str:
        """Return the SQLAlchemy URL of one database of this server."""
        return make_url(self.admin_url).set(database=name).render_as_string(hide_password=False)

    def execute(self, statement: str) -> None:
        """Run one statement as administrator."""
        conninfo = make_url(self.admin_url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def database(self, *, template: str | None = None) -> Iterator[Database]:
        """Create a database as a copy of the template, or of `template`, and drop it at the end."""
        name = f"nightread_test_{os.getpid()}_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template or self.template}")
        database = open_database(self.url(name))
        try:
            yield database
            wait_for_thread_groups()
        finally:
            database.close()
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def private_redis() -> Iterator[str]:
    """Run a Redis server on a unix socket; yield its URL."""
    with tempfile.TemporaryDirectory(prefix="nr-redis-") as folder:
        socket = Path(folder) / "r.sock"
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no", "--dir", folder]
        server = subprocess.Popen([_redis_binary(), *options], stdout=subprocess.DEVNULL)
        try:
            with Redis(unix_socket_path=str(socket)) as client:
                _wait_until(server, lambda: bool(client.ping()), RedisConnectionError)
            yield f"unix://{socket}?db=0"
        finally:
            server.terminate()
            server.wait(START_SECONDS)


@contextmanager
def named_postgres(url: str) -> Iterator[PostgresServer]:
    """Use a running server; `url` is that of an administrator."""
    yield PostgresServer(admin_url=make_url(url).set(drivername="postgresql+psycopg").render_as_string(False))


@contextmanager
def private_postgres() -> Iterator[PostgresServer]:
    """Run a PostgreSQL server in a folder of its own, on a unix socket.

    As root it runs as user `nobody`, since PostgreSQL refuses to run as root.
    """
    binaries = postgres_binaries()
    user = "nobody" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="nr-pg-"))
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    initialise: list[str | Path] = [
        binaries / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "-N",
    ]
    subprocess.run(initialise, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)
    options = [f"-c{name}=off" for name in ("fsync", "full_page_writes", "synchronous_commit")]
    command: list[str | Path] = [binaries / "postgres", "-D", data, "-k", folder, "-h", "", *options]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, user=user, cwd=folder, stderr=log, stdout=log)
    try:
        _wait_until(server, lambda: _accepts_connections(folder), psycopg.OperationalError)
        yield PostgresServer(admin_url=f"postgresql+psycopg://postgres@/postgres?host={folder}")
    finally:
        server.send_signal(signal.SIGINT)  # fast shutdown: the server disconnects its clients
        server.wait(START_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)  # a child of a stopped server may still write a file


def _accepts_connections(folder: Path) -> bool:
    with psycopg.connect(host=str(folder), user="postgres", dbname="postgres"):
        return True


def _wait_until(server: subprocess.Popen[bytes], ready: Callable[[], bool], not_yet: type[Exception]) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=START_SECONDS)
    while datetime.now(UTC) < deadline:
        try:
            if ready():
                return
        except not_yet:
            pass
        try:
            server.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"{server.args!r} did not start (exit code {server.poll()})")


def postgres_binaries() -> Path:
    """Return the folder of initdb and postgres."""
    on_path = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not (on_path or installed):
        pytest.skip(skip_reasons.POSTGRESQL)
    return (installed[-1] if installed else Path(on_path or "").resolve()).parent


def _redis_binary() -> str:
    try:
        return str(find_redis_server(load_settings(None)))
    except StopWork:
        pytest.skip(skip_reasons.REDIS)
