"""Write times and shares for people."""

from datetime import datetime, timedelta

from nightread.nights import Nights

_FAR_SECONDS = 20 * 3600
_ROUNDED_PERCENT = 10


def clock(moment: datetime, nights: Nights, *, near: datetime) -> str:
    """Return the local time of `moment`. The date is added if `moment` is far from `near`."""
    local = nights.local(moment)
    if abs((moment - near).total_seconds()) > _FAR_SECONDS:
        return f"{local:%a} {local.day} {local:%b %H:%M}"
    return f"{local:%H:%M}"


def hour_begin(moment: datetime, nights: Nights) -> datetime:
    """Return the time at which the local hour of `moment` begins, in the zone of `moment`.

    When the clock goes back, two local hours are equal, but these times differ.
    """
    local = nights.local(moment)
    return moment - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def share(value: float) -> str:
    """Return a share from 0 to 1 in percent, with one decimal below 10 %. A share below 0.1 % becomes `<0.1 %`."""
    percent = 100 * value
    if 0 < percent < _SMALLEST:
        return f"<{_SMALLEST} %"
    return f"{percent:.1f} %" if percent < _ROUNDED_PERCENT else f"{percent:.0f} %"


_SMALLEST = 0.1
