"""Write numbers, durations and rates for people."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
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
