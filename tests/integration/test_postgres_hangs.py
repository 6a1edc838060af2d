"""A PostgreSQL that hangs, and does not end, lets no command and no request wait for ever."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from click.testing import CliRunner
from servers import PostgresServer, private_postgres
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from cli.main import cli
from db import error_messages, schema
from db.engine import Database, open_database

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]
SENTENCE = "its server did not answer in time: check whether it is stopped, and check its load, disk and locks"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL of its own, with a database `night` of the newest schema."""
    with private_postgres() as server:
        server.execute("CREATE DATABASE night TEMPLATE template0")
        with closing(open_database(server.url("night"))) as database:
            schema.upgrade(database)
        yield server


@contextmanager
def _stopped(*pids: int) -> Iterator[None]:
    """Stop processes as a debugger or a disk that hangs does, and let them go on at the end."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _ask(database: Database, statement: str = "SELECT pg_backend_pid()") -> int:
    with database.read() as connection:
        return int(connection.execute(text(statement)).scalar_one())


def test_a_server_that_is_stopped_is_an_error_in_time_and_the_next_connection_works(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection in the pool is checked first, and waits as a statement does; it is not used again."""
    monkeypatch.setattr("db.answer_limit._GRACE_SECONDS", 0.5)
    with closing(open_database(server.url("night"), answer_seconds=1.0)) as database:
        first = _ask(database)
        with database.read() as connection:
            assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == first
            with _stopped(first):
                began = time.monotonic()
                with pytest.raises(OperationalError) as raised:
                    connection.execute(text("SELECT 1"))
                assert time.monotonic() - began < 30
        assert error_messages.describe(raised.value) == SENTENCE
        assert _ask(database) != first


def test_a_statement_that_takes_too_long_is_ended_by_the_server(server: PostgresServer) -> None:
    """The same sentence, and the connection stays: a lock that is held for long is no reason to connect again."""
    with closing(open_database(server.url("night"), answer_seconds=0.3)) as database:
        first = _ask(database)
        with pytest.raises(OperationalError) as raised:
            _ask(database, "SELECT 1 FROM pg_sleep(60)")
        assert error_messages.describe(raised.value) == SENTENCE
        assert _ask(database) == first


def test_without_a_limit_a_long_statement_ends(server: PostgresServer) -> None:
    """An audit or a purge may take minutes."""
    with closing(open_database(server.url("night"))) as database:
        assert _ask(database, "SELECT count(*) FROM pg_sleep(0.5)") == 1


def test_status_says_that_the_database_does_not_answer(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first connection is not answered: the exit code is that of a night that stands still."""
    conninfo = make_url(server.url("night")).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo) as connection:
        postmaster = int(connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()[0].split("\n")[0])  # type: ignore[index]
    with _stopped(postmaster):
        done = CliRunner().invoke(cli, ["status", "--check", "--database-url", server.url("night")])
    assert done.exit_code == 2
    assert done.output.startswith("STOPPED: The database is unavailable: its server cannot be reached")
