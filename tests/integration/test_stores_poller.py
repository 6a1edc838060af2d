"""One poller of a store: what it registers, how long it waits, and what it reports."""

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from ledger_driver import LedgerDriver, build_arrivals
from sqlalchemy import select

from db import queries
from db.ledger import Cursor, cursor_of
from db.store_tables import expected
from nightread.errors import StopWork, UsageFault
from nightread.settings import load_settings
from nightread.sources import OrthancSource
from nightread.web import UnavailableError
from producer.stores import poll
from producer.stores.change_feed import ChangePage, Count
from producer.stores.poll import StorePoller

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

STORE = OrthancSource.model_validate({"name": "pacs", "url": "http://127.0.0.1:1", "poll_seconds": 20, "priority": 2})


@dataclass(kw_only=True)
class FakeFeed:
    """A store that returns the pages of a test, and remembers the cursors of the requests."""

    pages: list[ChangePage] = field(default_factory=list)
    error: Exception | None = None
    asked: list[Cursor | None] = field(default_factory=list)

    def since(self, cursor: Cursor | None) -> Iterator[ChangePage]:
        """Implement ChangeFeed.since."""
        self.asked.append(cursor)
        yield from self.pages
        if self.error:
            raise self.error


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> FakeFeed:
    """The feed that every poller opens."""
    feed = FakeFeed()
    monkeypatch.setattr(poll, "open_feed", lambda _store, _settings: feed)
    return feed


def poller_of(ledger_driver: LedgerDriver, registered: list[int] | None = None) -> StorePoller:
    append = (registered if registered is not None else []).append
    return StorePoller(STORE, load_settings(), ledger_driver.database, append, clock=ledger_driver.clock)


def page(last: int, arrivals: int = 0, *, counts: Sequence[Count] = (), troubles: Sequence[str] = ()) -> ChangePage:
    """Return a page of new images that ends at this position."""
    return ChangePage(arrivals=build_arrivals(arrivals), counts=counts, cursor={"last": last}, troubles=troubles)


def test_each_page_is_registered_with_its_cursor(ledger_driver: LedgerDriver, feed: FakeFeed) -> None:
    """The next poll begins after the last page. Each commit is announced, with the priority of the store."""
    feed.pages = [page(1, 2), page(2, 0), page(3, 3)]
    registered: list[int] = []
    poller = poller_of(ledger_driver, registered)
    assert poller.poll_once(threading.Event()) == 5
    assert registered == [2, 3]
    assert {row.priority for row in ledger_driver.work()} == {2}
    feed.pages = []
    assert poller.poll_once(threading.Event()) == 0
    assert feed.asked == [None, {"last": 3}]


def test_a_poll_that_breaks_off_keeps_its_pages(ledger_driver: LedgerDriver, feed: FakeFeed) -> None:
    """The rest is found by the next poll."""
    feed.pages, feed.error = [page(1, 2)], UnavailableError("is away")
    with pytest.raises(UnavailableError):
        poller_of(ledger_driver).poll_once(threading.Event())
    assert len(ledger_driver.instances()) == 2
    assert _cursor(ledger_driver) == {"last": 1}


def test_a_page_is_the_unit_in_which_a_poll_ends(ledger_driver: LedgerDriver, feed: FakeFeed) -> None:
    """After the signal to stop no further page is requested."""
    feed.pages = [page(1, 2), page(2, 2)]
    stop = threading.Event()
    stop.set()
    assert poller_of(ledger_driver).poll_once(stop) == 2
    assert _cursor(ledger_driver) == {"last": 1}


def test_expected_numbers_are_stored_without_new_images(ledger_driver: LedgerDriver, feed: FakeFeed) -> None:
    """The position need not change either."""
    feed.pages = [page(1)]
    poller = poller_of(ledger_driver)
    poller.poll_once(threading.Event())
    feed.pages = [page(1, counts=[Count(study_instance_uid="1.2", instances=7)])]
    poller.poll_once(threading.Event())
    with ledger_driver.database.read() as connection:
        (row,) = connection.execute(select(expected)).all()
    assert (row.study_instance_uid, row.images, row.reported_by) == ("1.2", 7, "store")


def test_the_troubles_of_all_pages_are_reported_once_each(ledger_driver: LedgerDriver, feed: FakeFeed) -> None:
    """The report of an earlier poll is replaced."""
    feed.pages = [page(1, troubles=["b", "a"]), page(2, troubles=["b"])]
    poller = poller_of(ledger_driver)
    poller.poll_once(threading.Event())
    assert poller.report.troubles == ("a", "b")
    feed.pages = [page(2)]
    poller.poll_once(threading.Event())
    assert poller.report.troubles == ()


def test_an_unavailable_store_is_reported_and_its_last_duration_kept(
    ledger_driver: LedgerDriver, feed: FakeFeed, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has one line for a problem and one for its end; `status` reads it from the database."""
    caplog.set_level(logging.INFO, "producer.stores.poll")
    poller = poller_of(ledger_driver)
    assert poller._try_poll(threading.Event())
    seconds = poller.report.seconds
    feed.error = UnavailableError("is away")
    assert not poller._try_poll(threading.Event())
    assert not poller._try_poll(threading.Event())
    assert (poller.report.troubles, poller.report.seconds) == (("is away",), seconds)
    assert _troubles(ledger_driver) == ["is away"]
    feed.error = None
    assert poller._try_poll(threading.Event())
    assert _troubles(ledger_driver) == []
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("WARNING", "the store is away"),
        ("INFO", "the store is available again"),
    ]


def test_an_unexpected_error_concerns_one_store_only(
    ledger_driver: LedgerDriver, feed: FakeFeed, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once in a row with its place, shown by `status`, and the store is polled again."""
    poller = poller_of(ledger_driver)
    feed.error = OverflowError("DOE^JOHN")
    assert not poller._try_poll(threading.Event())
    assert not poller._try_poll(threading.Event())
    trouble = "caused an unexpected OverflowError in nightread: the log of `nightread poll` says where"
    assert _troubles(ledger_driver) == [trouble]
    assert [one.levelname for one in caplog.records if one.exc_info] == ["ERROR"]
    feed.error = None
    assert poller._try_poll(threading.Event())
    assert _troubles(ledger_driver) == []


@pytest.mark.parametrize("error", [StopWork("stop"), UsageFault("wrong")])
def test_errors_that_concern_the_installation_end_the_polling(
    ledger_driver: LedgerDriver, feed: FakeFeed, error: Exception
) -> None:
    """A person must correct it."""
    feed.error = error
    with pytest.raises(type(error)):
        poller_of(ledger_driver)._try_poll(threading.Event())


@pytest.mark.parametrize(("uid", "number"), [("1" * 65, 1), ("", 1), ("1.2\0", 1), ("1.2", 2**31)])
def test_a_count_that_the_database_cannot_hold_is_left_out(
    ledger_driver: LedgerDriver, feed: FakeFeed, uid: str, number: int
) -> None:
    """The images of the page are registered."""
    feed.pages = [page(1, 2, counts=[Count(study_instance_uid=uid, instances=number)])]
    assert poller_of(ledger_driver).poll_once(threading.Event()) == 2
    with ledger_driver.database.read() as connection:
        assert connection.execute(select(expected)).all() == []


@pytest.mark.parametrize(
    ("failed", "shortest", "longest"),
    [(0, 18.0, 22.0), (1, 0.25, 0.5), (2, 0.5, 1.0), (4, 2.0, 4.0), (7, 16.0, 32.0), (8, 30.0, 60.0), (99, 30.0, 60.0)],
)
def test_pauses_double_after_failures_up_to_a_minute(
    ledger_driver: LedgerDriver, monkeypatch: pytest.MonkeyPatch, failed: int, shortest: float, longest: float
) -> None:
    """Without a failure the pause is `poll_seconds`, give or take a tenth."""
    poller = poller_of(ledger_driver)
    for share, pause in ((0.0, shortest), (1.0, longest)):
        monkeypatch.setattr(poll.random, "uniform", lambda low, high, share=share: low + share * (high - low))
        assert poller._pause(failed) == pytest.approx(pause)


def _source_id(ledger_driver: LedgerDriver) -> int:
    return next(source.id for source in queries.sources(ledger_driver.database) if source.name == "pacs")


def _cursor(ledger_driver: LedgerDriver) -> Cursor | None:
    return cursor_of(ledger_driver.database, _source_id(ledger_driver))


def _troubles(ledger_driver: LedgerDriver) -> list[str]:
    (source,) = [source for source in queries.sources(ledger_driver.database) if source.name == "pacs"]
    assert source.report is not None
    return list(source.report["troubles"])
