"""Nights in the local time of the site."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from nightread.errors import UsageFault
from nightread.nights import Nights, nights_of
from nightread.settings import Settings

BERLIN = Nights(start=time(18), end=time(7), zone=ZoneInfo("Europe/Berlin"))


def test_a_night_lasts_from_its_evening_to_the_next_morning() -> None:
    """The bounds are in UTC, one hour behind Berlin in winter."""
    assert BERLIN.bounds(date(2026, 11, 5)) == (
        datetime(2026, 11, 5, 17, tzinfo=UTC),
        datetime(2026, 11, 6, 6, tzinfo=UTC),
    )


def test_the_night_of_the_clock_change_is_an_hour_longer() -> None:
    """Summer time ends in Berlin on 25 October 2026."""
    begun, ended = BERLIN.bounds(date(2026, 10, 24))

    assert (ended - begun).total_seconds() == 14 * 3600


def test_a_night_within_one_day_ends_on_that_day() -> None:
    """A night may start after midnight."""
    nights = Nights(start=time(1), end=time(5), zone=ZoneInfo("UTC"))

    assert nights.bounds(date(2026, 11, 5))[1] == datetime(2026, 11, 5, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hour_utc", "evening"), [(5, date(2026, 11, 4)), (16, date(2026, 11, 4)), (17, date(2026, 11, 5))]
)
def test_the_latest_night_is_the_current_or_the_last_one(hour_utc: int, evening: date) -> None:
    """A new night begins at 18:00 local time."""
    assert BERLIN.latest(datetime(2026, 11, 5, hour_utc, tzinfo=UTC)) == evening


def test_the_deadline_is_the_end_of_the_next_night() -> None:
    """Before seven it is today, from seven it is tomorrow."""
    assert BERLIN.next_end(datetime(2026, 11, 5, 5, 59, tzinfo=UTC)) == datetime(2026, 11, 5, 6, tzinfo=UTC)
    assert BERLIN.next_end(datetime(2026, 11, 5, 6, tzinfo=UTC)) == datetime(2026, 11, 6, 6, tzinfo=UTC)


def test_an_unknown_time_zone_is_a_usage_fault() -> None:
    """The error names the time zone."""
    with pytest.raises(UsageFault, match="Europe/Nowhere"):
        nights_of(Settings(time_zone="Europe/Nowhere"))
