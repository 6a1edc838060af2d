"""The night page sums by hours of the local time, also in the nights when the clock changes."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from api.pages.charts import Axis
from api.pages.hour_rows import hour_rows
from api.pages.period import night_of
from db.queries import PeriodCounts, Tally
from nightread.nights import Nights

BERLIN = Nights(start=time(18), end=time(7), zone=ZoneInfo("Europe/Berlin"))
LATER = datetime(2026, 12, 24, tzinfo=UTC)


def counts_of(finished: Mapping[datetime, int]) -> PeriodCounts:
    """Return counts with as many arrivals as outcomes in each interval."""
    return PeriodCounts(
        tally=Tally(arrived=sum(finished.values()), done=sum(finished.values())),
        reasons={},
        labels=[],
        arrived_at=finished,
        finished_at={(begin, "done"): images for begin, images in finished.items()},
        last_outcome=None,
    )


def test_the_hour_that_comes_twice_is_two_rows() -> None:
    """In the night when the clock goes back, 02:00 of summer and of winter time have their own rates."""
    night = night_of(BERLIN, date(2026, 10, 24))
    first = datetime(2026, 10, 25, 0, 10, tzinfo=UTC)
    counts = counts_of({first: 3600, first + timedelta(hours=1): 7200, first + timedelta(hours=2): 10800})

    rows = hour_rows(night, counts, BERLIN, LATER)

    assert [(row.label, row.arrived, row.per_second) for row in rows] == [
        ("02:00 CEST", 3600, 1.0),
        ("02:00 CET", 7200, 2.0),
        ("03:00", 10800, 3.0),
    ]


def test_the_rate_leaves_out_the_time_before_the_night_and_after_now() -> None:
    """The first and the running hour are shorter."""
    nights = Nights(start=time(18, 30), end=time(7), zone=ZoneInfo("Europe/Berlin"))
    night = night_of(nights, date(2026, 11, 5))
    now = night.since + timedelta(hours=1, minutes=15)
    counts = counts_of({night.since: 1800, night.since + timedelta(hours=1): 1800})

    rows = hour_rows(night, counts, nights, now)

    assert [(row.label, row.per_second) for row in rows] == [("18:00", 1.0), ("19:00", 1800 / 2700)]


def test_hours_of_a_zone_with_half_an_hour_begin_at_its_full_hours() -> None:
    """22:00 in India is 16:30 in UTC."""
    india = Nights(start=time(18), end=time(7), zone=ZoneInfo("Asia/Kolkata"))
    counts = counts_of({datetime(2026, 11, 5, 16, minute, tzinfo=UTC): 1 for minute in (20, 30, 50)})

    rows = hour_rows(night_of(india, date(2026, 11, 5)), counts, india, LATER)

    assert [(row.label, row.arrived) for row in rows] == [("21:00", 1), ("22:00", 2)]


@pytest.mark.parametrize(
    ("evening", "hours"),
    [
        (date(2026, 10, 24), {18: 16, 20: 18, 22: 20, 0: 22, 2: 0, 4: 3, 6: 5}),
        (date(2026, 3, 28), {18: 17, 20: 19, 22: 21, 0: 23, 4: 2, 6: 4}),
    ],
)
def test_the_axis_names_hours_that_exist_at_their_places(evening: date, hours: Mapping[int, int]) -> None:
    """In spring 02:00 is left out; in autumn its first occurrence is labelled."""
    night = night_of(BERLIN, evening)

    shown = Axis(begin=night.since, end=night.until, nights=BERLIN).hours()

    assert {BERLIN.local(hour).hour: hour.astimezone(UTC).hour for hour in shown} == hours
    assert len(shown) == len(hours)
