"""Learn when each source and each sender usually sends, from the arrivals of the last four weeks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select

from db.engine import Database
from db.queries.snapshot import stream
from db.store_tables import senders
from db.tables import instances, sources
from nightread.nights import Nights
from nightread.sources import API, ARCHIVES

REMEMBERED_DAYS = 28
_WEEKS = (7, 14, 21, 28)
_FEWEST_WEEKS = 3
_DAYS = tuple(range(1, 8))
_GRACE = timedelta(minutes=30)
_HOUR = timedelta(hours=1)
SenderKey = tuple[str, str]
"""Name of the source, and AE title of the sender; the latter is empty for the source as a whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SendingDay:
    """When a source or sender sent, from the start of one night to that of the next, in local time since the start."""

    first: timedelta
    last: timedelta
    longest_gap: timedelta
    last_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SendingLimit:
    """From when on the silence of a source or sender is not usual, on a day like today."""

    first_by: timedelta
    """The first image should have arrived so long after the start of the night."""
    longest_gap: timedelta
    until: timedelta
    """Until here something arrived later on every such day."""


class Habits:
    """The days on which each source and sender sent; each past day is read once."""

    def __init__(self, nights: Nights) -> None:
        self._nights = nights
        self._days: dict[date, Mapping[SenderKey, SendingDay]] = {}

    def silent(self, database: Database, now: datetime) -> Iterator[tuple[SenderKey, datetime, timedelta | None]]:
        """Yield each source or sender that is silent for longer than on any comparable day.

        Each comes with the time since when it is silent, and with the longest pause of such days; None: nothing came
        since the start of the night.
        """
        evening = self._nights.latest(now)
        self._learn(database, evening)
        start, _ = self._nights.bounds(evening)
        today = read_day(database, self._nights, evening)
        for key, limit in self._limits(evening):
            day = today.get(key)
            if day is None:
                if self._wall(start, now) >= limit.first_by:
                    yield key, start, None
            elif now - day.last_at >= limit.longest_gap and day.last + limit.longest_gap <= limit.until:
                yield key, day.last_at, limit.longest_gap

    def _wall(self, start: datetime, now: datetime) -> timedelta:
        return _wall(self._nights, start, now)

    def _learn(self, database: Database, evening: date) -> None:
        wanted = [evening - timedelta(days=days) for days in range(1, REMEMBERED_DAYS + 1)]
        self._days = {day: known for day, known in self._days.items() if day in wanted}
        for day in wanted:
            if day not in self._days:
                self._days[day] = read_day(database, self._nights, day)

    def _limits(self, evening: date) -> Iterator[tuple[SenderKey, SendingLimit]]:
        keys = sorted({key for day in self._days.values() for key in day})
        for key in keys:
            compared = self._comparable(key, evening)
            if compared:
                yield key, self._limit(compared, evening)

    def _comparable(self, key: SenderKey, evening: date) -> dict[date, SendingDay]:
        """Return the same weekday of the last weeks if it always sent then, else the last seven days if it always did.

        Days before its first image do not count.
        """
        first = min(day for day, sent in self._days.items() if key in sent)
        weeks = [evening - timedelta(days=days) for days in _WEEKS if evening - timedelta(days=days) >= first]
        week = [evening - timedelta(days=days) for days in _DAYS]
        for days, fewest in ((weeks, _FEWEST_WEEKS), (week, len(_DAYS))):
            sent = {day: self._days[day][key] for day in days if key in self._days[day]}
            if len(sent) == len(days) >= fewest:
                return sent
        return {}

    def _limit(self, compared: Mapping[date, SendingDay], evening: date) -> SendingLimit:
        days = list(compared.values())
        firsts = [day.first for day in days]
        spread = (max(firsts) - min(firsts)) / 2
        offsets = {self._utc_offset(day) for day in (*compared, evening, evening + timedelta(days=1))}
        grace = _GRACE + (_HOUR if len(offsets) > 1 else timedelta(0))  # a sender may keep another local time
        gap = max(2 * max(day.longest_gap for day in days), _GRACE)
        return SendingLimit(
            first_by=max(firsts) + spread + grace,
            longest_gap=gap + grace,
            until=min(day.last for day in days),
        )

    def _utc_offset(self, evening: date) -> timedelta | None:
        return self._nights.local(self._nights.bounds(evening)[0]).utcoffset()


def read_day(database: Database, nights: Nights, evening: date) -> Mapping[SenderKey, SendingDay]:
    """Read when each source and sender sent, from the start of this night to the start of the next one."""
    start, _ = nights.bounds(evening)
    end, _ = nights.bounds(evening + timedelta(days=1))
    found: dict[SenderKey, _Seen] = {}
    with database.read() as connection:
        names = {row.id: row.name for row in connection.execute(select(sources)) if row.kind not in (API, ARCHIVES)}
        titles = {row.id: row.calling_ae for row in connection.execute(select(senders.c.id, senders.c.calling_ae))}
        arrived = instances.c.arrived_at
        statement = _ARRIVALS.where(arrived >= start, arrived < end)
        for row in stream(connection, statement):
            if (name := names.get(row.source_id)) is None:
                continue
            for title in {"", titles.get(row.sender_id) or ""}:
                found.setdefault((name, title), _Seen(first=row.arrived_at, last=row.arrived_at)).add(row.arrived_at)
    return {
        key: SendingDay(
            first=_wall(nights, start, seen.first),
            last=_wall(nights, start, seen.last),
            longest_gap=seen.longest_gap,
            last_at=seen.last,
        )
        for key, seen in found.items()
    }


@dataclass(slots=True)
class _Seen:
    first: datetime
    last: datetime
    longest_gap: timedelta = timedelta(0)

    def add(self, moment: datetime) -> None:
        """Note an arrival, in the order of time."""
        self.longest_gap = max(self.longest_gap, moment - self.last)
        self.last = moment


def _wall(nights: Nights, start: datetime, moment: datetime) -> timedelta:
    """Return the difference on a clock on the wall: senders keep local time, also in the nights of a change."""
    return nights.local(moment).replace(tzinfo=None) - nights.local(start).replace(tzinfo=None)


_ARRIVALS = (
    select(instances.c.source_id, instances.c.sender_id, instances.c.arrived_at)
    .where(instances.c.parent_id.is_(None))
    .order_by(instances.c.arrived_at)
)
