"""A part sends its heartbeat from a thread, and reports its end only if it was stopped on purpose."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import NewSqlite
from ledger_driver import SettableClock
from sqlalchemy import select

from db.engine import Database
from db.heartbeat_timer import HeartbeatTimer, node_name, sent_heartbeats
from db.ledger import Heartbeat, PartKind
from db.store_tables import heartbeats
from nightread.errors import StopWork, UsageFault


@pytest.fixture
def database(tmp_path: Path, new_sqlite: NewSqlite) -> Iterator[Database]:
    """A database of the newest schema."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        yield database


class Seen:
    """A part that sees Redis, and tells when it looked."""

    def __init__(self) -> None:
        self.looked = threading.Event()

    def __call__(self) -> list[Heartbeat]:
        """Return a heartbeat of Redis."""
        self.looked.set()
        return [Heartbeat(part=PartKind.REDIS, node="redis", boot_id="r")]


def stops(database: Database) -> dict[str, bool]:
    """Return whether each part was stopped on purpose."""
    with database.read() as connection:
        rows = connection.execute(select(heartbeats.c.part, heartbeats.c.stopped_at)).all()
    return {row.part: row.stopped_at is not None for row in rows}


def test_a_thread_sends_heartbeats_of_the_part_and_of_those_that_it_sees(
    database: Database, clock: SettableClock
) -> None:
    """The end of the context is a stop on purpose of the part itself."""
    seen = Seen()
    timer = HeartbeatTimer(database, PartKind.DISPATCHER, seen=seen, clock=clock)
    with sent_heartbeats(timer):
        assert seen.looked.wait(30)
    timer.send()
    assert stops(database) == {"dispatcher": True, "redis": False}


@pytest.mark.parametrize(
    ("error", "stopped"), [(StopWork("disk"), False), (UsageFault("port"), True), (KeyboardInterrupt(), True)]
)
def test_an_error_is_a_crash_unless_a_person_caused_it(
    database: Database, clock: SettableClock, error: BaseException, stopped: bool
) -> None:
    """What a person typed wrongly, or ended with Ctrl-C as `nightread run` can be, is not missed afterwards."""
    timer = HeartbeatTimer(database, PartKind.API, clock=clock)
    timer.send()
    with pytest.raises(type(error)), sent_heartbeats(timer):
        raise error
    assert stops(database) == {"api": stopped}


def test_a_database_that_is_away_is_logged_once(
    database: Database, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The part itself goes on, and the log has no text of the driver."""
    database.write(heartbeats.drop)
    with caplog.at_level(logging.WARNING):
        timer = HeartbeatTimer(database, PartKind.API, clock=clock)
        timer.send()
        timer.send()
        timer.record_stop()
    assert len([line for line in caplog.messages if line.startswith("the heartbeat was not written")]) == 1
    assert "no such table" not in caplog.text


def test_parts_of_one_kind_on_one_host_differ_by_what_they_serve() -> None:
    """Two watchers do not overwrite each other's heartbeat, and no name of a folder is in the name of the node."""
    names = {node_name(), node_name(["a"]), node_name(["b"]), node_name(["a", "b"])}
    assert len(names) == 4
    assert all(name.startswith(node_name()) for name in names)
    assert "inbox" not in node_name(["inbox"])
