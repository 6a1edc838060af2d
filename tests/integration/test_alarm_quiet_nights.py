"""Thirty quiet nights, both nights of a change of the clock among them, raise no alarm."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from databases import NewSqlite
from night_site import NightSite, local, night_site

from db import queries
from db.ledger import PartKind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
FIRST_EVENINGS = (date(2026, 10, 16), date(2027, 3, 20))
"""Fifteen nights each: the clock is set back on 25 October 2026, and ahead on 28 March 2027."""
NIGHTS_EACH = 15


@pytest.fixture
def quiet_site(request: pytest.FixtureRequest, new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[NightSite]:
    """A site with four weeks of habits, at the beginning of a night."""
    with (
        new_sqlite(tmp_path / "nightread.sqlite3") as database,
        night_site(database, local(request.param, 17, 55), alarm_bad_images=4) as site,
    ):
        site.remember(28)
        yield site


@pytest.mark.parametrize("quiet_site", FIRST_EVENINGS, indirect=True, ids=str)
def test_quiet_nights_raise_no_alarm(quiet_site: NightSite) -> None:
    """Scanners send with jitter and rest at the weekend; the worker analyses; a backup is made each day."""
    site = quiet_site
    for _ in range(NIGHTS_EACH):
        site.back_up(site.clock())
        evening = site.clock() + timedelta(minutes=5)
        site.run_until(evening + timedelta(hours=13), seconds=600)
        site.run_until(evening + timedelta(hours=23, minutes=55), seconds=1800)
    assert site.events() == {}
    assert queries.alarms(site.database) == []


@pytest.mark.parametrize("quiet_site", [date(2026, 10, 24)], indirect=True, ids=str)
def test_a_clock_that_is_set_back_raises_nothing_that_lasts(quiet_site: NightSite) -> None:
    """All hosts go back by half an hour in the middle of the night: parts send heartbeats again, nobody is told."""
    site = quiet_site
    site.back_up(site.clock())
    site.run_until(local(date(2026, 10, 24), 20), seconds=420)
    site.clock.advance(minutes=-30)
    site.run_until(local(date(2026, 10, 24), 20, 30), seconds=60)
    assert site.events() == {}


@pytest.mark.parametrize("quiet_site", [date(2026, 10, 24)], indirect=True, ids=str)
def test_in_the_night_of_a_change_a_real_alarm_still_comes(quiet_site: NightSite) -> None:
    """Through the repeated hour: it opens once, is repeated each real hour, and closes."""
    site = quiet_site
    site.back_up(site.clock())
    site.run_until(local(date(2026, 10, 25), 1, 30), seconds=600)
    site.dead.add(PartKind.REDIS)
    began = site.clock()
    site.run_until(began + timedelta(hours=2, minutes=10), seconds=120)
    site.dead.clear()
    site.run_until(began + timedelta(hours=2, minutes=20), seconds=120)
    assert site.events() == {
        ("part_silent", "opened"): 1,
        ("part_silent", "repeated"): 2,
        ("part_silent", "closed"): 1,
    }
    (alarm,) = queries.alarms(site.database)
    assert alarm.night == "2026-10-24"
