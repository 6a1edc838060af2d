"""Define the periods that a night page shows: a night, or the day between two nights."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from nightread.nights import Nights

_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """A night, named by its evening, or a day, named by its morning."""

    kind: Literal["night", "day"]
    date: date
    since: datetime
    """The start of the period in UTC. This time belongs to the period."""
    until: datetime
    """The end of the period in UTC. This time does not belong to the period."""

    @property
    def path(self) -> str:
        """Return the path of the page of this period."""
        return f"/{self.kind}s/{self.date.isoformat()}"

    @property
    def title(self) -> str:
        """Return the name for people, such as `Night of Thursday 5 November 2026`."""
        return f"{self.kind.capitalize()} of {self.date:%A} {self.date.day} {self.date:%B %Y}"

    def includes(self, moment: datetime) -> bool:
        """Return whether the time is in this period."""
        return self.since <= moment < self.until

    @property
    def filter(self) -> dict[str, str]:
        """Return the query parameters that select the images of this period in links.

        They are `night`, or `since` and `until`.
        """
        if self.kind == "night":
            return {"night": self.date.isoformat()}
        return {"since": self.since.isoformat(), "until": self.until.isoformat()}


def night_of(nights: Nights, evening: date) -> Period:
    """Return the night that begins on this date."""
    since, until = nights.bounds(evening)
    return Period(kind="night", date=evening, since=since, until=until)


def day_of(nights: Nights, morning: date) -> Period | None:
    """Return the day that begins on this date, between two nights; None if no time is left between the nights."""
    for evening in (morning, morning - _DAY):
        _, since = nights.bounds(evening)
        until, _ = nights.bounds(evening + _DAY)
        if nights.local(since).date() == morning and since < until:
            return Period(kind="day", date=morning, since=since, until=until)
    return None


def current_periods(nights: Nights, now: datetime) -> tuple[Period, Period | None]:
    """Return the current or last night, and the day after it if this day has begun."""
    night = night_of(nights, nights.latest(now))
    day = day_of(nights, nights.local(night.until).date())
    return night, day if day and day.since <= now else None


def is_latest(period: Period, nights: Nights, now: datetime) -> bool:
    """Return whether the period is the latest of its kind that has begun. Its page then shows the present condition."""
    if period.since > now:
        return False
    if period.kind == "night":
        return period.date == nights.latest(now)
    following = day_of(nights, period.date + _DAY)
    return following is None or following.since > now
