"""The dispatcher purges results that are older than `keep_results_days`, in small steps and once a day."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_driver import LedgerDriver, build_arrivals
from monotonic import ManualMonotonic
from sqlalchemy import select
from trusted_arrivals import STUDY, TrustedArrivals

from db import ledger, queries
from db.ledger import Arrival
from db.tables import audit
from imaging.facts import Facts
from nightread.settings import load_settings
from producer.dispatcher.retention import DAY_SECONDS, Retention

MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def monotonic() -> ManualMonotonic:
    """A monotonic clock that tests move."""
    return ManualMonotonic()


@pytest.fixture
def retention(ledger_driver: LedgerDriver, monotonic: ManualMonotonic, tmp_path: Path) -> Retention:
    """Keeps results for 30 days."""
    settings = load_settings(None, state_dir=tmp_path / "state", keep_results_days=30)
    return Retention(ledger_driver.database, settings, ledger_driver.clock, monotonic)


def _steps(retention: Retention) -> list[int]:
    """Return the number of images of each step until today's purge is complete, without steps that purged none."""
    found = [retention.step()]
    while retention.is_running:
        found.append(retention.step())
    return [images for images in found if images]


def _entries(driver: LedgerDriver) -> list[dict[str, float]]:
    with driver.database.read() as connection:
        return [row.detail for row in connection.execute(select(audit).order_by(audit.c.id))]


def test_old_results_go_in_small_steps_and_one_entry_of_the_audit_counts_them(
    ledger_driver: LedgerDriver, retention: Retention
) -> None:
    """Younger results and waiting images stay; the entry has no ids."""
    ledger_driver.register(build_arrivals(450))
    ledger_driver.analyse_all()
    ledger_driver.clock.advance(days=31)
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all()
    ledger_driver.register(build_arrivals(1))
    assert _steps(retention) == [200, 200, 50]
    expected = {"days": 30, "images": 450, "cancelled": 0, "predictions": 450, "reports": 0}
    assert _entries(ledger_driver) == [expected]
    assert queries.purged_among(ledger_driver.database, range(1, 453)) == set(range(1, 451))
    tally = queries.tally(ledger_driver.database)
    assert (tally.done, tally.waiting, tally.adds_up) == (451, 1, True)
    assert list(queries.violations(ledger_driver.database)) == []


def test_a_purge_begins_once_a_day(
    ledger_driver: LedgerDriver, retention: Retention, monotonic: ManualMonotonic, make_arrivals: MakeArrivals
) -> None:
    """Images that become old meanwhile wait for the next day."""
    assert _steps(retention) == []
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all()
    ledger_driver.clock.advance(days=31)
    monotonic.now += DAY_SECONDS - 1
    assert _steps(retention) == []
    monotonic.now += 1
    assert _steps(retention) == [1]
    monotonic.now += DAY_SECONDS
    assert _steps(retention) == []


def test_a_result_stays_while_a_younger_copy_shows_it(
    ledger_driver: LedgerDriver, retention: Retention, monotonic: ManualMonotonic
) -> None:
    """It goes when its last copy is old."""
    arrivals = TrustedArrivals(ledger_driver=ledger_driver)
    original = arrivals.image("ct", "a")
    ledger_driver.clock.advance(days=20)
    copy = arrivals.image("mr", "a")
    ledger_driver.clock.advance(days=15)
    assert _steps(retention) == []
    ledger_driver.clock.advance(days=16)
    monotonic.now += DAY_SECONDS
    assert sum(_steps(retention)) == 2
    assert queries.purged_among(ledger_driver.database, [original, copy]) == {original, copy}


def test_a_copy_that_arrives_during_the_purge_keeps_its_original(
    ledger_driver: LedgerDriver, retention: Retention
) -> None:
    """The original is looked at again in the transaction that would purge it."""
    ledger_driver.register(build_arrivals(201))
    ledger_driver.analyse_all()
    ledger_driver.clock.advance(days=31)
    assert retention.step() == 200
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(content=f"{201:064x}")
    assert retention.step() == 0
    assert queries.purged_among(ledger_driver.database, [201, 202]) == set()


def test_views_of_a_purged_study_lose_its_uid_at_the_end(ledger_driver: LedgerDriver, retention: Retention) -> None:
    """The entries stay, and so does the UID of a study that has images."""
    TrustedArrivals(ledger_driver=ledger_driver).image("ct", "a")
    ledger_driver.clock.advance(days=31)
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(facts=Facts(study_instance_uid="1.9"))
    for study in (STUDY, "1.9"):
        ledger.note_read(ledger_driver.database, "study", study, actor="ann", now=ledger_driver.clock())
    assert _steps(retention) == [1]
    assert _entries(ledger_driver)[:2] == [{"study": None}, {"study": "1.9"}]


def test_results_are_kept_for_ever_by_default(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """Nothing is read or written."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all()
    ledger_driver.clock.advance(days=10_000)
    settings = load_settings(None)
    assert Retention(ledger_driver.database, settings, ledger_driver.clock).step() == 0
    assert queries.purged_among(ledger_driver.database, [1]) == set()


def test_pictures_of_purged_images_go_at_the_end(
    ledger_driver: LedgerDriver, retention: Retention, make_arrivals: MakeArrivals, tmp_path: Path
) -> None:
    """Thumbnails in any folder below."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all()
    picture = tmp_path / "state" / "thumbnails" / "00" / "1-256.jpg"
    picture.parent.mkdir(parents=True)
    picture.touch()
    ledger_driver.clock.advance(days=31)
    assert _steps(retention) == [1]
    assert not picture.exists()


def test_the_write_ahead_log_is_emptied_at_the_end(ledger_driver: LedgerDriver, retention: Retention) -> None:
    """Earlier versions of the purged rows stand in it. PostgreSQL has no such file."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all()
    ledger_driver.clock.advance(days=31)

    _steps(retention)

    file = ledger_driver.database.file
    assert file is None or file.path.with_name(file.path.name + "-wal").stat().st_size == 0
