"""A crash of PostgreSQL may undo results that were confirmed before they were on disk; every image still gets one."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from ledger_driver import LedgerDriver, SettableClock, build_arrivals
from servers import PostgresServer, private_postgres
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from db import ledger, queries, schema
from db.engine import Database, open_database
from db.retry import OutageLog, RetryPolicy, retry_while_unavailable
from db.tables import State
from nightread.reasons import Reason

_WHILE_IT_STARTS = RetryPolicy(pause_seconds=0.1, give_up_after_seconds=60)
_log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of its own, because it crashes."""
    with private_postgres() as server:
        yield server


@pytest.fixture
def driver(server: PostgresServer, clock: SettableClock) -> Iterator[LedgerDriver]:
    """A ledger on a server that writes commits to its disk only if somebody waits for them."""
    with server.database(template="template0") as created:
        url = created.writer.url.render_as_string(hide_password=False)
        with closing(open_database(url, durable=True)) as database:
            schema.upgrade(database)
            source = ledger.ensure_source(database, name="inbox", kind="folder", root="/", now=clock())
            yield LedgerDriver(database=database, clock=clock, source_id=source)


@pytest.fixture
def wal_writer(driver: LedgerDriver) -> Iterator[int]:
    """The process that would write confirmed commits within 0.6 s: it is stopped."""
    with driver.database.read() as connection:
        process: int = connection.scalar(text("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"))
    os.kill(process, signal.SIGSTOP)
    yield process
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGCONT)


def test_results_that_a_crash_undoes_are_computed_again(driver: LedgerDriver, wal_writer: int) -> None:
    """The arrivals and the claim are kept; the lease expires, and each image is done."""
    driver.register(build_arrivals(3))
    (batch,) = driver.form()
    assert driver.analyse(batch) == {"done": 3}

    _crash(driver.database, wal_writer)

    assert driver.states() == [State.RUNNING] * 3
    assert driver.open_batches() == [batch.id]
    driver.clock.advance(seconds=61)
    assert ledger.return_expired(driver.database, now=driver.clock()) == 3
    assert driver.analyse_all() == {"done": 3}
    assert driver.predicted() == [1, 2, 3]
    assert list(queries.violations(driver.database)) == []


def test_a_batch_that_a_crash_undoes_is_formed_again(driver: LedgerDriver, wal_writer: int) -> None:
    """The message that was published for it claims nothing."""
    driver.register(build_arrivals(2))
    (lost,) = driver.form()

    _crash(driver.database, wal_writer)

    assert driver.states() == [State.RECEIVED] * 2
    assert driver.claim(lost) == []
    assert driver.analyse_all() == {"done": 2}
    assert list(queries.violations(driver.database)) == []


def test_a_rejection_is_kept_because_its_spooled_file_may_be_gone(driver: LedgerDriver, wal_writer: int) -> None:
    """Its commit also keeps the results that were recorded before."""
    driver.register(build_arrivals(2))
    done, rejected = driver.form(images=1)
    driver.analyse(done)
    driver.analyse(rejected, state=State.REJECTED, reason=Reason.EMPTY, content="blake3:" + "e" * 64)

    _crash(driver.database, wal_writer)

    assert driver.states() == [State.DONE, State.REJECTED]
    assert driver.predicted() == [1]


def _crash(database: Database, process: int) -> None:
    """Kill a process of the server, which then ends all others and starts again from what is on its disk."""
    with database.read() as connection:
        os.kill(process, signal.SIGKILL)
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT pg_sleep(60)"))  # until the server ends this connection
        connection.invalidate()
    retry_while_unavailable(lambda: database.write(_nothing), _WHILE_IT_STARTS, OutageLog(logger=_log))


def _nothing(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))
