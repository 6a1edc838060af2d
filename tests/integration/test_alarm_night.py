"""In a simulated night each fault raises its alarm within its stated time, once, and clears (docs/alarms.md)."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from databases import NewSqlite
from night_site import DISK_LOW, NIGHTS, NightSite, local, night_site
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from db.engine import Database
from db.ledger import PartKind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
EVENING = date(2026, 12, 3)


@pytest.fixture(scope="module")
def site(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NightSite]:
    """A site with 24 days of habits, at 19:00 of a night; each test continues where the one before ended."""
    path = tmp_path_factory.mktemp("site") / "nightread.sqlite3"
    with new_sqlite(path) as database, night_site(database, local(EVENING, 18), alarm_bad_images=4) as site:
        site.remember(24)
        site.back_up(site.clock())
        site.run_until(local(EVENING, 19))
        yield site


def _kill(kind: PartKind) -> Callable[[NightSite, bool], None]:
    def change(site: NightSite, broken: bool) -> None:
        (site.dead.add if broken else site.dead.discard)(kind)

    return change


def _set(name: str) -> Callable[[NightSite, bool], None]:
    return lambda site, broken: setattr(site, name, broken)


def _fill_disk(site: NightSite, broken: bool) -> None:
    site.disk[:] = [DISK_LOW] if broken else []


def _repair_model(site: NightSite, broken: bool) -> None:
    """Break it; repaired, it analyses images until the bad hour is over."""
    site.model_broken = broken


def _cut_network(site: NightSite, broken: bool) -> None:
    if broken:
        site.open_delivery(site.clock())
    else:
        site.database.write(lambda connection: connection.execute(text("UPDATE deliveries SET state = 'delivered'")))


FAULTS = {
    "the worker hangs": ("stalled", _set("worker_hangs"), 25, 10),
    "the dispatcher stops": ("part_silent", _kill(PartKind.DISPATCHER), 3, 5),
    "Redis dies": ("part_silent", _kill(PartKind.REDIS), 3, 5),
    "the disk fills": ("disk", _fill_disk, 1, 7),
    "the store is away": ("source_away", _set("store_away"), 4, 4),
    "the network to the destination is cut": ("destination_away", _cut_network, 32, 4),
    "the model breaks": ("bad_outcomes", _repair_model, 25, 90),
}
"""The rule, how to break and repair, and the most minutes until the alarm opens and closes."""


def test_the_quiet_evening_raises_nothing(site: NightSite) -> None:
    """The habits are known, everything works."""
    assert site.events() == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_raises_its_alarm_within_its_time_once_and_clears(site: NightSite, fault: str) -> None:
    """The webhook counts: one message when it opens, one when it closes, and none of another rule."""
    rule, change, raised_within, cleared_within = FAULTS[fault]
    site.webhook.asked.clear()
    change(site, True)
    site.minutes_until(rule, "opened", at_most=raised_within)
    for _ in range(5):
        site.step()
    change(site, False)
    site.minutes_until(rule, "closed", at_most=cleared_within)
    assert site.events() == {(rule, "opened"): 1, (rule, "closed"): 1}


def test_a_scanner_that_falls_silent_is_noticed_among_others(site: NightSite) -> None:
    """Twice its longest pause and half an hour, so within two hours for one that sends every half hour."""
    site.webhook.asked.clear()
    site.silent_scanners.add("MR1")
    site.minutes_until("no_arrivals", "opened", at_most=150)
    site.silent_scanners.clear()
    site.minutes_until("no_arrivals", "closed", at_most=40)
    assert site.events() == {("no_arrivals", "opened"): 1, ("no_arrivals", "closed"): 1}


def test_nothing_arrives_at_all(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """From the beginning of a night: the source is named, and each sender at its own time."""
    evening = EVENING + timedelta(days=6)
    with new_sqlite(tmp_path / "nightread.sqlite3") as database, night_site(database, local(evening, 18)) as site:
        site.remember(24)
        site.back_up(site.clock())
        site.silent_scanners.update(("CT1", "MR1"))
        assert site.minutes_until("no_arrivals", "opened", at_most=60) >= 30
        site.run_until(local(evening, 19, 30))
        assert site.events() == {("no_arrivals", "opened"): 3}
        site.silent_scanners.clear()
        for _ in range(10):
            site.step()
        assert site.events()["no_arrivals", "closed"] == 3


def test_a_poller_that_sends_heartbeats_and_does_not_look_at_its_store(site: NightSite) -> None:
    """Its main loop hangs: the report of the source grows old while the heartbeats are young."""
    site.webhook.asked.clear()
    site.poller_hangs = True
    site.minutes_until("part_silent", "opened", at_most=6)
    site.poller_hangs = False
    site.minutes_until("part_silent", "closed", at_most=5)
    assert site.events() == {("part_silent", "opened"): 1, ("part_silent", "closed"): 1}


def test_the_database_is_away(site: NightSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The channels are told without it, and again each hour; afterwards the alarm is a row, and closes."""
    site.webhook.asked.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Database, "read", _broken)
        for _ in range(5):
            site.clock.advance(minutes=1)
            site.watch.check()
        assert site.events() == {("database", "opened"): 1}
        for _ in range(120):
            site.clock.advance(minutes=1)
            site.watch.check()
    assert site.events() == {("database", "opened"): 1, ("database", "repeated"): 2}
    for _ in range(5):
        site.step()
    assert site.events() == {("database", "opened"): 1, ("database", "repeated"): 2, ("database", "closed"): 1}


def _broken(_database: Database) -> None:
    raise OperationalError("SELECT", {}, Exception("gone"))


def test_the_night_is_that_of_the_site(site: NightSite) -> None:
    """An alarm of two in the morning belongs to the evening before."""
    assert NIGHTS.latest(local(EVENING + timedelta(days=1), 2)) == EVENING
