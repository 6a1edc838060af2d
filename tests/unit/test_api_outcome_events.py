"""Clients that hear of outcomes hear nothing more once their key is not active."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event
from typing import NoReturn, cast

import pytest
from api_client import ApiDriver, api_driver
from databases import NewSqlite
from sqlalchemy.exc import OperationalError

from api.access import LOCAL, Principal
from api.outcome_events import OutcomeEvents
from db import ledger, queries
from db.engine import Database
from db.queries import ImageOutcome

BEGIN = "retry: 2000\nid: 1\n\n"
KEEP_ALIVE = ": keep-alive\n\n"


async def in_force() -> bool:
    return True


async def revoked() -> bool:
    return False


async def unknown() -> NoReturn:
    raise OperationalError("", {}, Exception())


async def both_streams(database: Database) -> tuple[list[str], list[list[str]]]:
    """Return the first texts of a stream whose key is active, and all texts of streams whose key is not."""
    events = OutcomeEvents(database, keep_alive_seconds=0)
    kept = events.listen(in_force)
    first = [await anext(kept) for _ in range(3)]
    return first, [[text async for text in events.listen(check)] for check in (revoked, unknown)]


def test_a_stream_ends_when_its_key_is_not_in_force(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """The key is checked whenever it is time for a keep-alive; one that cannot be checked is not active."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        first, ended = asyncio.run(both_streams(database))

    assert first == [BEGIN, KEEP_ALIVE, KEEP_ALIVE]
    assert ended == [[BEGIN], [BEGIN]]


def test_a_client_that_connects_again_is_told_that_it_missed_events(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """The id makes a browser say so in the header Last-Event-ID."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        events = OutcomeEvents(database, keep_alive_seconds=0)
        again = asyncio.run(_all_texts(events.listen(revoked, is_again=True)))

    assert again == [BEGIN, "event: missed\ndata: {}\n\n"]


async def _all_texts(stream: AsyncIterator[str]) -> list[str]:
    return [text async for text in stream]


def is_in_force(driver: ApiDriver, principal: Principal) -> bool:
    """Ask the API, which reads its keys anew."""
    authentication = driver.client.app.state.services.authentication  # type: ignore[attr-defined]
    authentication._keys._tried_at = float("-inf")
    assert driver.client.portal is not None
    return driver.client.portal.call(authentication.is_in_force, principal)


def test_the_outcomes_that_are_being_read_are_read_to_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the API ends during a query, it closes the database afterwards."""
    began, may_end, ended = Event(), Event(), Event()

    def read_slowly(_database: Database, _batch_id: str) -> list[ImageOutcome]:
        began.set()
        may_end.wait(20)
        ended.set()
        return []

    async def end_meanwhile() -> None:
        events = OutcomeEvents(cast("Database", None))
        listening = events.listen(in_force)
        await anext(listening)
        reading = asyncio.create_task(events.run())
        events.note("a batch")
        await asyncio.to_thread(began.wait, 20)
        reading.cancel()
        await asyncio.sleep(0)
        assert not reading.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert ended.is_set()

    monkeypatch.setattr(queries, "outcomes_of", read_slowly)
    asyncio.run(end_meanwhile())


@pytest.fixture
def reader() -> Principal:
    return Principal(name="reader", permissions=frozenset(), key_id=1)


def test_no_stream_outlives_its_key(new_sqlite: NewSqlite, tmp_path: Path, reader: Principal) -> None:
    """A stream that needed no key ends when one was made; the stream of a key ends when it is revoked."""
    with api_driver(new_sqlite, tmp_path) as driver:
        assert is_in_force(driver, LOCAL)

        driver.add_key("reader", "read")
        assert not is_in_force(driver, LOCAL)
        assert is_in_force(driver, reader)

        ledger.revoke_api_key(driver.database, "reader", actor="test", now=driver.ledger_driver.clock())
        assert not is_in_force(driver, reader)
