"""Compare the end of the work with the deadline of a night, as one sentence."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from api.pages.period import Period
from api.pages.words import clock
from db.queries import Pace, Tally
from nightread.nights import Nights
from nightread.wording import counted, duration, per_second

_FARTHEST = timedelta(days=3650)


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """When the work of a period ended or will end."""

    word: str
    """`complete`, `running`, `late`, `waiting` or `empty`."""
    text: str
    done_by: datetime | None = None
    """The time of the last outcome, or the expected one; None if it is unknown."""

    @property
    def is_late(self) -> bool:
        """Return whether the last outcome came or comes after the deadline."""
        return self.word == "late"


def forecast(
    period: Period, tally: Tally, *, last_outcome: datetime | None, pace: Pace | None, nights: Nights, now: datetime
) -> Forecast:
    """Return the forecast; `pace` is None for a period of the past."""
    if not tally.arrived:
        return Forecast(word="empty", text="Nothing arrived.")
    if not tally.unfinished:
        return _ended(period, tally, last_outcome, nights)
    number = f"{counted(tally.unfinished, 'image is', 'images are')} unfinished"
    if pace is None or pace.eta_seconds is None:
        return Forecast(word="waiting", text=f"{number}; no image was finished in the last minute.")
    done_by = now + min(timedelta(seconds=pace.eta_seconds), _FARTHEST)
    deadline = _deadline(period, nights, now)
    when = f"all will be done in {duration(pace.eta_seconds)}, by {clock(done_by, nights, near=now)}"
    rate = f"{number}. At {per_second(pace.per_second)}, {when}"
    return Forecast(
        word="late" if done_by > deadline else "running",
        text=f"{rate} {_margin(done_by, deadline, nights)}.",
        done_by=done_by,
    )


def _ended(period: Period, tally: Tally, last_outcome: datetime | None, nights: Nights) -> Forecast:
    every = "The only arrival has" if tally.arrived == 1 else f"All {tally.arrived:,} arrivals have"
    text = f"{every} an outcome"
    if last_outcome is None:
        return Forecast(word="complete", text=f"{text}.")
    at = clock(last_outcome, nights, near=period.until)
    if period.kind == "day":
        return Forecast(word="complete", text=f"{text}; the last came at {at}.", done_by=last_outcome)
    word = "late" if last_outcome > period.until else "complete"
    margin = _margin(last_outcome, period.until, nights)
    return Forecast(word=word, text=f"{text}; the last came at {at} {margin}.", done_by=last_outcome)


def _deadline(period: Period, nights: Nights, now: datetime) -> datetime:
    return period.until if period.kind == "night" and period.until > now else nights.next_end(now)


def _margin(moment: datetime, deadline: datetime, nights: Nights) -> str:
    word = "after" if moment > deadline else "before"
    apart = duration(abs((deadline - moment).total_seconds()))
    return f"({apart} {word} the deadline, {nights.local(deadline):%H:%M})"
