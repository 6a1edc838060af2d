"""Define the fixtures that all tests share: databases, Redis, a clock and factories."""

import gc
import os
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

import pytest
import skip_reasons
from databases import NewSqlite, sqlite_copy
from ledger_driver import LedgerDriver, SettableClock, build_arrivals, build_outcome
from logging_state import logging_restored
from redis import Redis
from servers import PostgresServer, named_postgres, private_postgres, private_redis

from db import ledger, schema
from db.engine import Database, open_database
from db.ledger import Arrival, Outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """If NIGHTREAD_REQUIRE_SERVERS is set, as in CI, fail tests whose server or program is missing, and skip none."""
    report = yield
    if not (report.skipped and call.excinfo) or hasattr(report, "wasxfail"):
        return report
    needs_server = item.get_closest_marker("servers") or str(call.excinfo.value) in skip_reasons.SERVERS
    if needs_server and "NIGHTREAD_REQUIRE_SERVERS" in os.environ:
        report.outcome = "failed"
        report.longrepr = f"NIGHTREAD_REQUIRE_SERVERS is set, but: {call.excinfo.value}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude the tests from garbage collection, during their collection and afterwards.

    A pass over all of them takes half a second. To collect them took each process 28 s of processor time, now 20 s.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line per reason: the number of skipped tests, and how to run them."""
    for line in skip_reasons.lines(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Restore the umask: commands set a stricter one, and some tests call commands in this process."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def usual_logging() -> Iterator[None]:
    """Restore the logging: commands set it up for their whole process, and some tests call commands in this one."""
    with logging_restored():
        yield


@pytest.fixture(scope="module")
def collect_garbage() -> Iterator[None]:
    """Collect garbage after the module: pynetdicom leaves sockets of refused connections to the garbage collector."""
    yield
    gc.collect()


@pytest.fixture
def clock() -> SettableClock:
    """A clock that stands still on a November evening."""
    return SettableClock()


@pytest.fixture
def make_arrivals() -> Callable[..., list[Arrival]]:
    """A function: `make_arrivals(3)` returns three new files at each call; keywords set fields of all."""
    return build_arrivals


@pytest.fixture
def make_outcome() -> Callable[..., Outcome]:
    """A function: `make_outcome(claimed, **fields)` returns `done` with one frame and unique content by default."""
    return build_outcome


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that tests copy."""
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
    """The server in NIGHTREAD_TEST_POSTGRES, else a private server; skips if PostgreSQL is not installed."""
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
    """An empty database of the newest schema, once on SQLite and once on PostgreSQL."""
    if request.param == "postgresql":
        with request.getfixturevalue("postgres_server").database() as database:
            yield database
        return
    with request.getfixturevalue("new_sqlite")(tmp_path / "nightread.sqlite3") as database:
        yield database


@pytest.fixture
def source_id(database: Database, clock: SettableClock) -> int:
    """The id of a registered source."""
    return ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=clock())


@pytest.fixture
def ledger_driver(database: Database, clock: SettableClock, source_id: int) -> LedgerDriver:
    """The functions of the ledger with default arguments."""
    return LedgerDriver(database=database, clock=clock, source_id=source_id)


@pytest.fixture
def bundle_id(database: Database, clock: SettableClock) -> int:
    """The id of a registered bundle."""
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
    """URL of a private real Redis on a unix socket, for the whole session."""
    with private_redis() as url:
        yield url


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """URL of an empty Redis."""
    with Redis.from_url(redis_server_url) as client:
        client.flushall()
    return redis_server_url
