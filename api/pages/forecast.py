"""Compare the end of the work with the deadline of a night, and describe the result in a sentence."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from api.pages.period import Period
from api.pages.words import clock
from db.condition.remaining_work import RemainingWork
from db.queries import PeriodCounts, Retried, Tally
from nightread.nights import Nights
from nightread.wording import counted, duration, per_second

_FARTHEST = timedelta(days=3650)


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """When the work of a period ended or will end."""

    word: str
    """The forecast in one word: `complete`, `running`, `late`, `unfinished` or `empty`."""
    text: str
    done_by: datetime | None = None
    """The time of the last outcome, or the time at which it is expected; None if it is unknown."""
    last_outcome: datetime | None = None
    """The time of the last outcome, without the outcomes of later retries."""

    @property
    def is_late(self) -> bool:
        """Return whether an image got or will get its outcome after the deadline. Later retries do not count."""
        return self.word == "late"


def forecast(
    period: Period,
    counts: PeriodCounts,
    *,
    retried: Retried | None,
    remaining: RemainingWork | None,
    nights: Nights,
    now: datetime,
) -> Forecast:
    """Return the forecast.

    `retried` describes the images that a person retried after the period; it is None if there are none. `remaining` is
    the remaining work of all periods; it is None if each image of this period has its outcome.
    """
    tally = counts.tally
    if not tally.arrived:
        return Forecast(word="empty", text="Nothing arrived.")
    if not tally.unfinished or remaining is None:
        return _ended(period, counts, retried, nights)
    last = retried.last_other_outcome if retried else counts.last_outcome
    unfinished = tally.unfinished - (retried.unfinished if retried else 0)
    deadline = period.until if period.kind == "night" else nights.next_end(now)
    if remaining.pace.eta_seconds is None:
        is_late = bool(unfinished) and now > deadline
        after = f" The deadline was {clock(deadline, nights, near=now)}." if is_late else ""
        text = f"{_number(tally)}; {_obstacle(remaining)}.{after}"
        return Forecast(word="late" if is_late else "unfinished", text=text, last_outcome=last)
    done_by = now + min(timedelta(seconds=remaining.pace.eta_seconds), _FARTHEST)
    text = f"{_number(tally)}. {_pace(tally, remaining, done_by, nights, now)} {_margin(done_by, deadline, nights)}."
    word = "late" if unfinished and done_by > deadline else "running"
    return Forecast(word=word, text=text, done_by=done_by, last_outcome=last)


def _number(tally: Tally) -> str:
    return f"{counted(tally.unfinished, 'image is', 'images are')} unfinished"


def _obstacle(remaining: RemainingWork) -> str:
    """Return why the end of the work is unknown. The order of the causes is the order of `nightread status`."""
    if remaining.is_paused:
        return "dispatch is paused"
    if not remaining.ready:
        return f"all of them wait for {'a paused source or ' if remaining.held else ''}a later time"
    return "no image was finished in the last minute"


def _pace(tally: Tally, remaining: RemainingWork, done_by: datetime, nights: Nights, now: datetime) -> str:
    rate = per_second(remaining.pace.per_second)
    left = duration(remaining.pace.eta_seconds or 0)
    when = f"all will be done in {left}, by {clock(done_by, nights, near=now)}"
    if remaining.ready == tally.unfinished:
        return f"At {rate}, {when}"
    number = counted(remaining.ready, "image is", "images are")
    return f"Together with other periods, {number} ready for analysis: at {rate}, {when}"


def _ended(period: Period, counts: PeriodCounts, retried: Retried | None, nights: Nights) -> Forecast:
    arrived = counts.tally.arrived
    text = f"{'The only arrival has' if arrived == 1 else f'All {arrived:,} arrivals have'} an outcome"
    later = f" {counted(retried.finished, 'outcome')} came later, from a retry." if retried and retried.finished else ""
    last = retried.last_other_outcome if retried else counts.last_outcome
    if last is None:
        return Forecast(word="complete", text=f"{text}.{later}")
    text = f"{text}; the last{' without a retry' if later else ''} came at {clock(last, nights, near=period.until)}"
    if period.kind == "day":
        return Forecast(word="complete", text=f"{text}.{later}", done_by=last, last_outcome=last)
    word = "late" if last > period.until else "complete"
    text = f"{text} {_margin(last, period.until, nights)}.{later}"
    return Forecast(word=word, text=text, done_by=last, last_outcome=last)


def _margin(moment: datetime, deadline: datetime, nights: Nights) -> str:
    word = "after" if moment > deadline else "before"
    apart = duration(abs((deadline - moment).total_seconds()))
    return f"({apart} {word} the deadline, {nights.local(deadline):%H:%M})"
