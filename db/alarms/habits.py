"""Learn when each source and each sender usually sends, from the arrivals of the last four weeks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from db.alarms.sending_days import SenderKey, SendingDay, SendingDays, local_time_since
from db.engine import Database
from nightread.nights import Nights

REMEMBERED_DAYS = 28
_WEEKS = (7, 14, 21, 28)
_FEWEST_WEEKS = 3
_DAYS = tuple(range(1, 8))
_GRACE = timedelta(minutes=30)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class SendingLimit:
    """Says when the silence of a source or sender is unusual on a day like today."""

    first_by: timedelta
    """If no image has arrived by this time after the start of the night, the silence is unusual."""
    longest_gap: timedelta
    until: timedelta
    """The time of the last image on the comparable day that ended first. A silence is usual if it reaches `longest_gap`
    only after this time."""


class Habits:
    """Knows when each source and sender sent on past days; each past day is read once."""

    def __init__(self, nights: Nights) -> None:
        self._nights = nights
        self._sending_days = SendingDays(nights)
        self._days: dict[date, Mapping[SenderKey, SendingDay]] = {}

    def silent(self, database: Database, now: datetime) -> Iterator[tuple[SenderKey, datetime, timedelta | None]]:
        """Yield each source or sender that is silent for longer than on any comparable day.

        Yield it with the start of its silence, and with the limit that this silence exceeds. The limit is None if
        nothing has arrived since the start of the night.
        """
        evening = self._nights.latest(now)
        self._learn(database, evening)
        start, _ = self._nights.bounds(evening)
        today = self.today(database, now)
        for key, limit in self._limits(evening):
            day = today.get(key)
            if day is None:
                if local_time_since(self._nights, start, now) >= limit.first_by:
                    yield key, start, None
            elif now - day.last_at >= limit.longest_gap and day.last + limit.longest_gap <= limit.until:
                yield key, day.last_at, limit.longest_gap

    def today(self, database: Database, now: datetime) -> Mapping[SenderKey, SendingDay]:
        """Return first and last arrival and longest gap since the start of this night, for each source and sender.

        A gap is the time between two arrivals. Sources and senders that have sent nothing are left out.
        """
        return self._sending_days.today(database, self._nights.latest(now), now)

    def _learn(self, database: Database, evening: date) -> None:
        wanted = [evening - timedelta(days=days) for days in range(1, REMEMBERED_DAYS + 1)]
        self._days = {day: known for day, known in self._days.items() if day in wanted}
        for day in wanted:
            if day not in self._days:
                self._days[day] = self._sending_days.past(database, day)

    def _limits(self, evening: date) -> Iterator[tuple[SenderKey, SendingLimit]]:
        keys = sorted({key for day in self._days.values() for key in day})
        for key in keys:
            compared = self._comparable(key, evening)
            if compared:
                yield key, self._limit(compared, evening)

    def _comparable(self, key: SenderKey, evening: date) -> dict[date, SendingDay]:
        """Return the past days with which this day is compared; an empty result if there are none.

        The source or sender must have sent on each of them. They are the same weekday of the last four weeks, without
        weekdays before the first image; at least three must remain. If that fails, they are the last seven days.
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
        grace = _GRACE + (_HOUR if len(offsets) > 1 else timedelta(0))  # a clock changed; the sender's may not
        gap = max(2 * max(day.longest_gap for day in days), _GRACE)
        return SendingLimit(
            first_by=max(firsts) + spread + grace,
            longest_gap=gap + grace,
            until=min(day.last for day in days),
        )

    def _utc_offset(self, evening: date) -> timedelta | None:
        return self._nights.local(self._nights.bounds(evening)[0]).utcoffset()
