"""Describe the images that are retried later."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from db.queries import Postponed
from nightread.nights import Nights
from nightread.reasons import Reason
from nightread.wording import counted

_FAR = timedelta(hours=20)
_SENTENCES = {reason.value: reason.message for reason in Reason}


def postponed_lines(groups: Sequence[Postponed], now: datetime, nights: Nights) -> Iterator[str]:
    """Yield one line per reason: how many images wait, why, and until when."""
    for group in groups:
        number = counted(group.images, "image waits", "images wait")
        next_at = _clock(group.next_at, now, nights)
        until = f", until {_clock(group.until, now, nights)} at the latest" if group.until else ""
        reason = f" ({group.reason})" if group.reason else ""
        yield f"{number}{reason}: next attempt at {next_at}{until}. {_SENTENCES.get(group.reason, '')}".rstrip()


def _clock(moment: datetime, now: datetime, nights: Nights) -> str:
    local = nights.local(moment)
    return f"{local:%a %d %b %H:%M}" if moment - now > _FAR else f"{local:%H:%M:%S}"
