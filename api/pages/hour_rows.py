"""Sum the arrivals and outcomes of a period by hours of the local time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from api.pages.period import Period
from api.pages.words import clock, hour_begin
from db.queries import PeriodCounts
from nightread.nights import Nights

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class HourRow:
    """What arrived and what was finished in one hour."""

    begin: datetime
    label: str
    """The local time of the hour, with the time zone if two hours have the same time because the clock goes back."""
    arrived: int
    finished: Mapping[str, int]
    """Number of images by final state."""
    per_second: float
    """Finished images per second. Time before the period, and time after now, is not counted."""


def hour_rows(period: Period, counts: PeriodCounts, nights: Nights, now: datetime) -> list[HourRow]:
    """Return the hours that have arrivals or outcomes, in chronological order."""
    arrived: Counter[datetime] = Counter()
    finished: dict[datetime, Counter[str]] = {}
    for begin, images in counts.arrived_at.items():
        arrived[hour_begin(begin, nights)] += images
    for (begin, state), images in counts.finished_at.items():
        finished.setdefault(hour_begin(begin, nights), Counter())[state] += images
    return [
        HourRow(
            begin=hour,
            label=_label(hour, nights, period),
            arrived=arrived[hour],
            finished=finished.get(hour, Counter()),
            per_second=finished.get(hour, Counter()).total() / _seconds(hour, period, now),
        )
        for hour in sorted(arrived.keys() | finished.keys())
    ]


def _label(hour: datetime, nights: Nights, period: Period) -> str:
    local = nights.local(hour)
    is_twice = any(nights.local(hour + step).hour == local.hour for step in (_HOUR, -_HOUR))
    middle = period.since + (period.until - period.since) / 2
    return f"{clock(hour, nights, near=middle)}{f' {local:%Z}' if is_twice else ''}"


def _seconds(hour: datetime, period: Period, now: datetime) -> float:
    """Return how many seconds of the hour belong to the period and have passed, but at least 1.

    If a clock is fast, an outcome may lie in an hour that has not begun.
    """
    return max(1.0, (min(hour + _HOUR, now) - max(hour, period.since)).total_seconds())
