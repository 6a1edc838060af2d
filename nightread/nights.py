"""Convert between nights, which are named by their evening in local time, and UTC."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.settings import Settings

_YEARS = range(1970, 9999)
"""Years of nights that can be named. In others, the days around the night may lie outside of Python's calendar."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Nights:
    """Start and end of this site's nights, in local time."""

    start: time
    end: time
    zone: ZoneInfo | None
    """None means the time zone of this machine, with its daylight saving time."""

    def bounds(self, evening: date) -> tuple[datetime, datetime]:
        """Return start (included) and end (excluded) of the night that begins on this date, in UTC."""
        morning = evening if self.start < self.end else evening + timedelta(days=1)
        return self.utc(datetime.combine(evening, self.start)), self.utc(datetime.combine(morning, self.end))

    def latest(self, now: datetime) -> date:
        """Return the evening of the current night, or of the last night if it is day."""
        today = self.local(now).date()
        return today if self.bounds(today)[0] <= now else today - timedelta(days=1)

    def next_end(self, now: datetime) -> datetime:
        """Return the next end of a night: the time by which results are wanted."""
        today = self.local(now).date()
        ends = (self.utc(datetime.combine(today + timedelta(days=days), self.end)) for days in (0, 1))
        return next(end for end in ends if end > now)

    def first_at(self, wall_time: time, start: datetime) -> datetime:
        """Return the first moment at or after `start` at which the local time of the site is `wall_time`."""
        day = self.local(start).date()
        moments = (self.utc(datetime.combine(day + timedelta(days=days), wall_time)) for days in (0, 1))
        return next(moment for moment in moments if moment >= start)

    def local(self, moment: datetime) -> datetime:
        """Convert a time to the site's time zone."""
        return moment.astimezone(self.zone)

    def utc(self, moment: datetime) -> datetime:
        """Convert a time to UTC; a time without a time zone is taken as local time.

        Raises OverflowError for a time before the year 1 or after the year 9999 in UTC.
        """
        try:
            return (moment if moment.tzinfo else moment.replace(tzinfo=self.zone)).astimezone(UTC)
        except ValueError:  # the error for a time without a zone whose year is 0 in UTC
            raise OverflowError from None


def nights_of(settings: Settings) -> Nights:
    """Read the nights from the settings. Raises UsageFault for an unknown time zone."""
    try:
        zone = ZoneInfo(settings.time_zone) if settings.time_zone else None
    except (ZoneInfoNotFoundError, ValueError):
        raise UsageFault(
            f"NIGHTREAD_TIME_ZONE is {settings.time_zone}, which is not a known time zone: "
            "use an IANA name such as Europe/Berlin. If it is one, install tzdata."
        ) from None
    return Nights(start=settings.night_start, end=settings.night_end, zone=zone)


def evening_named(night: str, nights: Nights) -> date:
    """Return the evening of a night given as a date or `last`. Raises UsageFault for anything else."""
    if night == "last":
        return nights.latest(utc_now())
    try:
        evening = date.fromisoformat(night)
    except ValueError:
        evening = date.min
    if evening.year not in _YEARS:
        raise UsageFault(f"--night {night} is not valid: give a date such as 2026-11-05, or `last`.")
    return evening
