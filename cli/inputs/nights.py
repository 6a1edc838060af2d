"""Nights: site-local, named by their evening."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Nights:
    """When this site's nights begin and end."""

    start: time
    end: time
    zone: ZoneInfo | None
    """None: the machine's own, with its changes to and from summer time."""

    def bounds(self, evening: date) -> tuple[datetime, datetime]:
        """The night that begins on this date: from the first moment, to before the second, in UTC."""
        morning = evening if self.start < self.end else evening + timedelta(days=1)
        return self.utc(datetime.combine(evening, self.start)), self.utc(datetime.combine(morning, self.end))

    def latest(self, now: datetime) -> date:
        """The evening of the night that goes on now, else of the one before."""
        today = self.local(now).date()
        return today if self.bounds(today)[0] <= now else today - timedelta(days=1)

    def next_end(self, now: datetime) -> datetime:
        """When results are wanted: the next end of a night."""
        today = self.local(now).date()
        ends = (self.utc(datetime.combine(today + timedelta(days=days), self.end)) for days in (0, 1))
        return next(end for end in ends if end > now)

    def local(self, moment: datetime) -> datetime:
        """The moment as the site's clocks show it."""
        return moment.astimezone(self.zone)

    def utc(self, moment: datetime) -> datetime:
        """A moment in UTC; one without a time zone is meant site-local."""
        return (moment if moment.tzinfo else moment.replace(tzinfo=self.zone)).astimezone(UTC)


def nights_of(settings: Settings) -> Nights:
    """The nights of these settings. Raises UsageFault for a time zone that nobody knows."""
    try:
        zone = ZoneInfo(settings.time_zone) if settings.time_zone else None
    except (ZoneInfoNotFoundError, ValueError):
        raise UsageFault(
            f"NIGHTREAD_TIME_ZONE is {settings.time_zone}, which this machine does not know: "
            "give an IANA name such as Europe/Berlin, and install tzdata if that is one."
        ) from None
    return Nights(start=settings.night_start, end=settings.night_end, zone=zone)


def evening_named(night: str, nights: Nights) -> date:
    """The night that a person means by a date or `last`. Raises UsageFault for anything else."""
    if night == "last":
        return nights.latest(utc_now())
    try:
        return date.fromisoformat(night)
    except ValueError:
        raise UsageFault(f"--night takes a date such as 2026-11-05, or `last`; not {night}.") from None
