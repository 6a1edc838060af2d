"""Write numbers, times and durations for people."""

from datetime import datetime

from nightread.nights import Nights

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_FAR_SECONDS = 20 * _HOUR
_MANY = 10


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Return `1 image`, `2 images`; without `plural`, the plural is the singular and an s."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def duration(seconds: float) -> str:
    """Return a duration such as `42 s`, `3 min 10 s`, `2 h 05 min` or `3 d 4 h`."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def per_second(rate: float) -> str:
    """Return a rate in words, with one decimal below 10 images per second."""
    return f"{rate:,.0f} images per second" if rate >= _MANY else f"{rate:.1f} images per second"


def clock(moment: datetime, nights: Nights, *, near: datetime) -> str:
    """Return the local time, with the date if it is far from the time `near`."""
    local = nights.local(moment)
    if abs((moment - near).total_seconds()) > _FAR_SECONDS:
        return f"{local:%a} {local.day} {local:%b %H:%M}"
    return f"{local:%H:%M}"


def share(value: float) -> str:
    """Return a share from 0 to 1 in percent: one decimal below 10 %, and `<0.1 %` for the smallest."""
    percent = 100 * value
    if 0 < percent < _SMALLEST:
        return f"<{_SMALLEST} %"
    return f"{percent:.1f} %" if percent < _MANY else f"{percent:.0f} %"


_SMALLEST = 0.1
