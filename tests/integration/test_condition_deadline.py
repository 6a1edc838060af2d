"""The expected end of the work has a range and a verdict, and is right on a steady night."""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from databases import NewSqlite
from ledger_driver import LedgerDriver, SettableClock, build_outcome
from sqlalchemy import insert

from db import ledger, queries
from db.condition import Verdict
from db.condition.deadline import Outlook, outlook
from db.condition.remaining_work import remaining_work
from db.engine import Database
from db.ledger import Arrival, Cause
from db.queries.steady_rate import steady_rate
from db.tables import State, batches
from nightread.nights import Nights, nights_of
from nightread.reasons import Reason
from nightread.settings import Settings

MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def settings() -> Settings:
    """Nights end at 07:00 in Berlin."""
    return Settings(time_zone="Europe/Berlin")


@pytest.fixture
def sqlite(tmp_path: Path, new_sqlite: NewSqlite) -> Iterator[Database]:
    """A database for thousands of batches."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        yield database


@pytest.fixture
def nights(settings: Settings) -> Nights:
    """The nights of the settings."""
    return nights_of(settings)


def read_outlook(database: Database, settings: Settings, nights: Nights, now: datetime) -> Outlook:
    """Return the expected end."""
    tally = queries.tally(database)
    left = remaining_work(database, settings, unfinished=tally.unfinished, now=now)
    return outlook(database, left, tally, nights, now)


@pytest.mark.parametrize(("processes", "images", "seconds"), [(2, 64, 1.0), (4, 16, 1.0), (1, 8, 40.0), (8, 3, 25.0)])
def test_half_way_through_a_steady_night_the_error_is_small(
    sqlite: Database, clock: SettableClock, processes: int, images: int, seconds: float
) -> None:
    """Batches of all usual durations, whose times vary by a third: the end is known to 15 %."""
    total, now = _write_night(sqlite, clock(), processes=processes, images=images, seconds=seconds)
    rate = steady_rate(sqlite, now=now)
    assert rate is not None
    truth = (now - clock()).total_seconds()  # the second half takes as long as the first
    estimate = total / rate.mean
    assert estimate == pytest.approx(truth, rel=0.15)
    assert total / rate.fastest <= truth * 1.05
    assert rate.slowest > 0


def _write_night(
    database: Database, began: datetime, *, processes: int, images: int, seconds: float
) -> tuple[int, datetime]:
    """Write the batches of the first half of a night of two hours; return the images of that half, and its end."""
    numbers, rows, total = random.Random(7), [], 0
    end = began + timedelta(hours=1)
    for process in range(processes):
        at = began
        while at < end:
            until = at + timedelta(seconds=seconds * numbers.uniform(2 / 3, 4 / 3))
            is_open = until > end
            rows.append(
                {
                    "id": f"{process}-{len(rows)}",
                    "images": images,
                    "bytes": 1,
                    "created_at": at,
                    "claimed_at": at,
                    "finished_at": None if is_open else until,
                    "outcomes": None if is_open else {"done": images},
                }
            )
            total += 0 if is_open else images
            at = until
    database.write(lambda connection: connection.execute(insert(batches), rows))
    return total, end


def test_a_worker_that_leaves_lowers_the_forecast_and_widens_the_range(sqlite: Database, clock: SettableClock) -> None:
    """The latest minutes count most."""
    rows = []
    for second in range(600):
        at = clock() + timedelta(seconds=second)
        until, number = at + timedelta(seconds=1), 2 if second < 300 else 1
        rows.extend(
            {
                "id": f"{second}-{k}",
                "images": 10,
                "bytes": 1,
                "created_at": at,
                "claimed_at": at,
                "finished_at": until,
                "outcomes": {"done": 10},
            }
            for k in range(number)
        )
    sqlite.write(lambda connection: connection.execute(insert(batches), rows))
    rate = steady_rate(sqlite, now=clock() + timedelta(seconds=600))
    assert rate is not None
    assert 10 < rate.mean < 15
    assert (rate.slowest, rate.fastest) == (pytest.approx(9, abs=1.1), pytest.approx(20, abs=0.1))


@pytest.mark.parametrize(
    ("left", "verdict"),
    [(360, Verdict.ON_TIME), (25_000, Verdict.ON_TIME), (28_800, Verdict.AT_RISK), (33_000, Verdict.LATE)],
)
def test_the_verdict_compares_the_range_with_the_deadline(
    ledger_driver: LedgerDriver,
    make_arrivals: MakeArrivals,
    settings: Settings,
    nights: Nights,
    monkeypatch: pytest.MonkeyPatch,
    left: int,
    verdict: Verdict,
) -> None:
    """At one image per second from 23:00 on, 7:00 is 28,800 images away; the range is 10 % on each side."""
    ledger_driver.register(make_arrivals(60))
    (batch,) = ledger_driver.form()
    claimed = ledger_driver.claim(batch)
    now = ledger_driver.clock.advance(seconds=60)
    ledger_driver.record(batch, [build_outcome(image) for image in claimed])
    ledger_driver.register(make_arrivals(1))
    pace = queries.pace(ledger_driver.database, unfinished=left, now=now)
    monkeypatch.setattr(queries, "pace", lambda *_arguments, **_options: pace)

    found = read_outlook(ledger_driver.database, settings, nights, now)

    assert found.verdict is verdict
    assert found.earliest is not None
    assert found.done_by is not None
    assert found.latest is not None
    assert found.earliest < found.done_by < found.latest


def test_after_the_deadline_the_night_was_missed(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, settings: Settings, nights: Nights
) -> None:
    """Not: the next deadline is 24 hours away. What came after the deadline, and what is retried, is not late."""
    database, clock = ledger_driver.database, ledger_driver.clock
    ledger_driver.register(make_arrivals(2))
    clock.advance(hours=8, minutes=1)
    found = read_outlook(database, settings, nights, clock())
    assert (found.verdict, found.missed) == (Verdict.LATE, clock() - timedelta(minutes=1))
    ledger_driver.analyse_all(state=State.FAILED, reason=Reason.TIMEOUT)
    ledger_driver.register(make_arrivals(1))
    assert read_outlook(database, settings, nights, clock()).missed is None
    first = ledger_driver.instances()[0].id
    ledger.retry(database, [first], actor="anna", now=clock())
    assert ledger_driver.states()[0] == "received"
    assert read_outlook(database, settings, nights, clock()).missed is None


def test_a_retry_of_some_images_does_not_hide_that_others_are_late(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, settings: Settings, nights: Nights
) -> None:
    """Three failed images are retried in the morning while one of the same night never had an outcome."""
    database, clock = ledger_driver.database, ledger_driver.clock
    ledger_driver.register(make_arrivals(3))
    ledger_driver.analyse_all(state=State.FAILED, reason=Reason.TIMEOUT)
    ledger_driver.register(make_arrivals(1))
    clock.advance(hours=8, minutes=1)
    ledger.retry(database, [image.id for image in ledger_driver.instances()[:3]], actor="anna", now=clock())
    assert read_outlook(database, settings, nights, clock()).missed == clock() - timedelta(minutes=1)
    ledger_driver.analyse_all()
    assert read_outlook(database, settings, nights, clock()).missed is None


def test_during_a_pause_neither_an_end_nor_its_range_is_expected(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, settings: Settings, nights: Nights
) -> None:
    """The throughput of the minutes before it says nothing of an end that a person decides."""
    database, clock = ledger_driver.database, ledger_driver.clock
    ledger_driver.register(make_arrivals(60))
    (batch,) = ledger_driver.form()
    claimed = ledger_driver.claim(batch)
    clock.advance(seconds=30)
    ledger_driver.record(batch, [build_outcome(image) for image in claimed])
    ledger_driver.register(make_arrivals(1))
    assert read_outlook(database, settings, nights, clock()).earliest is not None
    ledger.pause(database, Cause.PERSON, actor="anna", detail="", now=clock())
    found = read_outlook(database, settings, nights, clock())
    assert (found.verdict, found.done_by, found.earliest, found.latest) == (Verdict.UNKNOWN, None, None, None)
