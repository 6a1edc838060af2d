"""Pause sources outside of the hours that their settings name."""

from collections.abc import Sequence

from db import ledger, queries
from db.engine import Database
from db.ledger import Cause
from db.queries import Pause
from nightread.clock import Clock
from nightread.daily_hours import DailyHours
from nightread.nights import nights_of
from nightread.settings import Settings


class SourceHours:
    """Begins and ends the pauses of sources that have hours. The database holds these pauses, like all others."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._hours = {source.name: DailyHours.parse(source.hours) for source in settings.sources if source.hours}
        self._texts = {source.name: source.hours for source in settings.sources}
        self._nights = nights_of(settings)
        self._clock = clock

    def decide(self, pauses: Sequence[Pause]) -> None:
        """Pause the sources that are outside of their hours. End these pauses when the hours begin or are removed."""
        held = {pause.source_id for pause in pauses if pause.cause is Cause.HOURS and pause.source_id is not None}
        if not (self._hours or held):
            return
        now = self._clock()
        local = self._nights.local(now)
        closed = {name for name, hours in self._hours.items() if not hours.contain(local)}
        wanted = {source.id: source.name for source in queries.sources(self._database) if source.name in closed}
        for source_id in wanted.keys() - held:
            detail = f"Its images are analysed only in these hours: {self._texts[wanted[source_id]]}."
            ledger.pause(self._database, Cause.HOURS, detail=detail, now=now, source_id=source_id)
        if ended := held - wanted.keys():
            ledger.end_pauses(self._database, [Cause.HOURS], now=now, source_ids=ended)
