"""Read when each source and sender sent on one day: from the start of a night to the start of the next night."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select

from db.engine import Database
from db.queries.snapshot import stream
from db.store_tables import senders
from db.tables import instances, sources
from nightread.nights import Nights
from nightread.sources import API, ARCHIVES

_LATEST_COMMIT = timedelta(minutes=10)
"""An arrival is committed at most this long after its `arrived_at`."""
SenderKey = tuple[str, str]
"""Name of the source, and AE title of the sender. The title is empty for the source as a whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SendingDay:
    """Says when a source or sender sent on one day.

    `first` and `last` are the times of the first and the last arrival, in local time since the start of the night.
    """

    first: timedelta
    last: timedelta
    longest_gap: timedelta
    last_at: datetime


@dataclass(slots=True)
class _Seen:
    first: datetime
    last: datetime
    longest_gap: timedelta = timedelta(0)

    def add(self, moment: datetime) -> None:
        """Note an arrival, which must not be earlier than the previous one."""
        self.longest_gap = max(self.longest_gap, moment - self.last)
        self.last = moment


class SendingDays:
    """Reads when each source and sender sent on a day. For the present day, a later call reads only what is new."""

    def __init__(self, nights: Nights) -> None:
        self._nights = nights
        self._today: date | None = None
        self._read_until: datetime | None = None
        self._seen: dict[SenderKey, _Seen] = {}

    def past(self, database: Database, evening: date) -> Mapping[SenderKey, SendingDay]:
        """Return when each source and sender sent on a day that is over."""
        start, end = self._bounds(evening)
        return self._days(start, _read(database, {}, start, end))

    def today(self, database: Database, evening: date, now: datetime) -> Mapping[SenderKey, SendingDay]:
        """Return first and last arrival and longest gap since the start of this night, for each source and sender.

        A gap is the time between two arrivals. Sources and senders that have sent nothing are left out.
        """
        start, end = self._bounds(evening)
        if self._today != evening or self._read_until is None or self._read_until > now:
            self._today, self._read_until, self._seen = evening, start, {}
        settled = max(now - _LATEST_COMMIT, self._read_until)
        self._seen = _read(database, self._seen, self._read_until, settled)
        self._read_until = settled
        return self._days(start, _read(database, self._seen, settled, end))

    def _bounds(self, evening: date) -> tuple[datetime, datetime]:
        return self._nights.bounds(evening)[0], self._nights.bounds(evening + timedelta(days=1))[0]

    def _days(self, start: datetime, found: Mapping[SenderKey, _Seen]) -> Mapping[SenderKey, SendingDay]:
        return {
            key: SendingDay(
                first=local_time_since(self._nights, start, seen.first),
                last=local_time_since(self._nights, start, seen.last),
                longest_gap=seen.longest_gap,
                last_at=seen.last,
            )
            for key, seen in found.items()
        }


def local_time_since(nights: Nights, start: datetime, moment: datetime) -> timedelta:
    """Return the difference of the local times of `start` and `moment`, because senders follow the local clock."""
    return nights.local(moment).replace(tzinfo=None) - nights.local(start).replace(tzinfo=None)


def _read(
    database: Database, before: Mapping[SenderKey, _Seen], start: datetime, end: datetime
) -> dict[SenderKey, _Seen]:
    """Return what was seen `before`, extended by the arrivals from `start` (included) to `end` (excluded)."""
    found = {key: copy(seen) for key, seen in before.items()}
    with database.read() as connection:
        names = {row.id: row.name for row in connection.execute(select(sources)) if row.kind not in (API, ARCHIVES)}
        titles = {row.id: row.calling_ae for row in connection.execute(select(senders.c.id, senders.c.calling_ae))}
        arrived = instances.c.arrived_at
        for row in stream(connection, _ARRIVALS.where(arrived >= start, arrived < end)):
            if (name := names.get(row.source_id)) is None:
                continue
            for title in {"", titles.get(row.sender_id) or ""}:
                found.setdefault((name, title), _Seen(row.arrived_at, row.arrived_at)).add(row.arrived_at)
    return found


# Images that are registered together have the same time, so there are far fewer times than images.
_ARRIVALS = (
    select(instances.c.source_id, instances.c.sender_id, instances.c.arrived_at)
    .distinct()
    .where(instances.c.parent_id.is_(None))
    .order_by(instances.c.arrived_at)
)
