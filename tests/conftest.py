"""Databases, a Redis, a clock and factories that all tests share."""

import gc
import os
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

import pytest
import skip_reasons
from databases import NewSqlite, sqlite_copy
from ledger_driver import LedgerDriver, SettableClock, build_arrivals, build_outcome
from redis import Redis
from servers import PostgresServer, named_postgres, private_postgres, private_redis

from db import ledger, schema
from db.engine import Database, open_database
from db.ledger import Arrival, Outcome


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line per reason what was skipped and how to get it."""
    for line in skip_reasons.lines(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Commands make theirs stricter, and some tests call them in this process."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def collected() -> Iterator[None]:
    """Pynetdicom leaves sockets that were refused to the garbage collector: not to that of another module."""
    yield
    gc.collect()


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
def new_sqlite(sqlite_template: Path) -> NewSqlite:
    """Make a database of the newest schema without rows, in the file that the test names."""
    return partial(sqlite_copy, sqlite_template)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server named by NIGHTREAD_TEST_POSTGRES, else a private one, else skip."""
    named = os.environ.get("NIGHTREAD_TEST_POSTGRES")
    with named_postgres(named) if named else private_postgres() as server:
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
    with request.getfixturevalue("new_sqlite")(tmp_path / "nightread.sqlite3") as database:
        yield database


@pytest.fixture
def source_id(database: Database, clock: SettableClock) -> int:
    """A source in the ledger to register arrivals with."""
    return ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=clock())


@pytest.fixture
def ledger_driver(database: Database, clock: SettableClock, source_id: int) -> LedgerDriver:
    """The ledger's verbs under default arguments."""
    return LedgerDriver(database=database, clock=clock, source_id=source_id)


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
    with private_redis() as url:
        yield url


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """An empty Redis."""
    with Redis.from_url(redis_server_url) as client:
        client.flushall()
    return redis_server_url
