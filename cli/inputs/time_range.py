"""Parse times that are given on the command line."""

from datetime import datetime

import click

from nightread.errors import UsageFault
from nightread.nights import evening_named, nights_of
from nightread.settings import Settings

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])


def arrival_bounds(
    settings: Settings, since: datetime | None, until: datetime | None, night: str | None
) -> tuple[datetime | None, datetime | None]:
    """Return start (included) and end (excluded) of the time range, in UTC.

    Raises UsageFault if both a night and times are given, if the start is not before the end, or if a time is outside
    of the range of Python's calendar.
    """
    nights = nights_of(settings)
    if night and (since or until):
        raise UsageFault("--night cannot be combined with --since or --until: omit --night, or omit the others.")
    if night:
        return nights.bounds(evening_named(night, nights))
    try:
        begin, end = nights.utc(since) if since else None, nights.utc(until) if until else None
    except OverflowError:
        raise UsageFault(
            "--since or --until is outside of the supported range: give a later or earlier time."
        ) from None
    if begin and end and begin >= end:
        raise UsageFault("No time is between --since and --until: --since must be the earlier one.")
    return begin, end
