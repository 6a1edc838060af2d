"""Compute the throughput of the latest ten minutes of work, and how much it varied, for a forecast."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select

from db.engine import Database
from db.tables import State, batches

WINDOW = timedelta(minutes=10)
"""The time over which the throughput is measured. It is long enough to average over batches of a minute, but short
enough to follow a worker that joins or leaves."""
_LONGEST_BATCH = timedelta(minutes=15)
_IDLE_SECONDS = 15.0
"""An idle time longer than this separates two stretches of work. Only the latest stretch is measured."""
_SLICES = 5
_FEW_SECONDS = 5.0
"""A stretch of work shorter than this is not divided into slices, because single batches would decide the result."""
_MARGIN = 0.1
_MARGIN_OF_A_START = 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class SteadyRate:
    """Images per second: the weighted mean, and the bounds within which the throughput varied."""

    mean: float
    """The mean, in which the latest minutes have the greatest weight."""
    slowest: float
    fastest: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stretch:
    """The work of one batch: its images are spread evenly over its time."""

    since: float
    until: float
    images: float

    def within(self, begin: float, end: float) -> float:
        """Return the number of images that fall into this time."""
        if self.until <= self.since:
            return self.images if begin < self.until <= end else 0.0
        shared = min(self.until, end) - max(self.since, begin)
        return self.images * max(0.0, shared) / (self.until - self.since)


def steady_rate(database: Database, *, now: datetime) -> SteadyRate | None:
    """Return the throughput of the last ten minutes, or of the time since the last idle time if that is shorter.

    Return None if no batch had an outcome. An open batch counts with the images that it should have finished by now.
    """
    with database.read() as connection:
        ended = connection.execute(
            _ENDED, {"since": now - WINDOW, "until": now, "oldest": now - WINDOW - _LONGEST_BATCH}
        )
        finished = [
            _Stretch(
                since=_before(row.claimed_at, now), until=_before(row.finished_at, now), images=_outcomes(row.outcomes)
            )
            for row in ended
        ]
        in_work = connection.execute(_OPEN, {"oldest": now - _LONGEST_BATCH}).all()
    if not any(stretch.images for stretch in finished):
        return None
    speed = _speed(finished)
    started = [
        _Stretch(since=since, until=0.0, images=min(row.images, -since * speed))
        for row in in_work
        if (since := _before(row.claimed_at, now)) < 0.0
    ]
    return _rates([*finished, *started])


def _before(moment: datetime, now: datetime) -> float:
    """Return the time in seconds from now; times in the past are negative."""
    return min(0.0, (moment - now).total_seconds())


def _outcomes(outcomes: dict[str, int] | None) -> float:
    return float(sum(images for state, images in (outcomes or {}).items() if state in _FINAL))


def _speed(finished: Sequence[_Stretch]) -> float:
    """Return the images per second of one process."""
    seconds = sum(stretch.until - stretch.since for stretch in finished)
    return sum(stretch.images for stretch in finished) / seconds if seconds > 0 else 0.0


def _rates(stretches: Sequence[_Stretch]) -> SteadyRate | None:
    begin = max(_busy_since(stretches), -WINDOW.total_seconds())
    if begin >= 0:
        return None
    number = _SLICES if -begin >= _FEW_SECONDS else 1
    length = -begin / number
    rates = list(_by_slice(stretches, begin, length, number))
    mean = sum(rate * weight for weight, rate in enumerate(rates, 1)) / sum(range(1, number + 1))
    margin = _MARGIN if number > 1 else _MARGIN_OF_A_START
    return SteadyRate(mean=mean, slowest=min(*rates, mean * (1 - margin)), fastest=max(*rates, mean * (1 + margin)))


def _by_slice(stretches: Sequence[_Stretch], begin: float, length: float, number: int) -> Iterator[float]:
    for position in range(number):
        first = begin + position * length
        yield sum(stretch.within(first, first + length) for stretch in stretches) / length


def _busy_since(stretches: Sequence[_Stretch]) -> float:
    """Return when the present stretch of work began, which is the end of the latest idle time."""
    begin = 0.0
    for stretch in sorted(stretches, key=lambda each: each.until, reverse=True):
        if stretch.until < begin - _IDLE_SECONDS:
            break
        begin = min(begin, stretch.since)
    return begin


_FINAL = frozenset({State.DONE, State.DUPLICATE, State.REJECTED, State.FAILED, State.EXPANDED})
_ENDED = select(batches.c.claimed_at, batches.c.finished_at, batches.c.outcomes).where(
    batches.c.created_at >= bindparam("oldest"),
    batches.c.claimed_at.is_not(None),
    batches.c.finished_at > bindparam("since"),
    batches.c.finished_at <= bindparam("until"),
)
_OPEN = select(batches.c.claimed_at, batches.c.images).where(
    batches.c.finished_at.is_(None), batches.c.claimed_at >= bindparam("oldest")
)
