"""Pause dispatch while the disk is nearly full, outcomes are bad or a source is outside its hours; end these pauses."""

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta

from db import ledger, queries
from db.engine import Database
from db.ledger import Cause
from db.queries import Pause
from nightread.clock import Clock
from nightread.settings import Settings
from producer.dispatcher.circuit_breaker import BreakerAction, CircuitBreaker
from producer.dispatcher.disk import DiskAlarm, DiskReserve
from producer.dispatcher.source_hours import SourceHours

log = logging.getLogger(__name__)

_OUTCOMES_SINCE = timedelta(hours=12)
"""Outcomes that are older than this are ignored: an earlier night may have failed for a cause that no longer exists."""


class PauseController:
    """Begins and ends pauses. Pauses are stored in the database, so that they survive a restart of the dispatcher."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._breaker = CircuitBreaker.from_settings(settings)
        self._disk = DiskReserve(settings)
        self._disk_alarm = DiskAlarm(DiskReserve(settings, settings.spool_folder.absolute()))
        self._hours = SourceHours(database, settings, clock)
        self._clock = clock
        self._logged: frozenset[tuple[Cause, int | None]] = frozenset()

    def decide(self) -> None:
        """Begin or end pauses according to the free disk space, the hours of sources and the latest outcomes."""
        self._disk_alarm.check()
        pauses = queries.pauses(self._database)
        self._check_disk(next((pause for pause in pauses if pause.cause is Cause.DISK), None))
        self._hours.decide(pauses)
        by_breaker = {pause.source_id: pause for pause in pauses if pause.cause is Cause.BREAKER}
        for pause in by_breaker.values():
            self._check_probe(pause)
        if self._breaker.images:
            self._check_outcomes(by_breaker)

    def pauses(self) -> list[Pause]:
        """Return the active pauses. Log each new pause, and when the last pause has ended."""
        pauses = queries.pauses(self._database)
        known = frozenset((pause.cause, pause.source_id) for pause in pauses)
        if new := known - self._logged:
            causes = ",".join(sorted({cause for cause, _ in new}))
            log.warning(
                "dispatch is paused: `nightread status` shows the reason",
                extra={"cause": causes, "sources": [source_id for _, source_id in new if source_id is not None]},
            )
        elif self._logged and not known:
            log.warning("dispatch is resumed")
        self._logged = known
        return pauses

    def due_probes(self, pauses: Sequence[Pause]) -> list[Pause]:
        """Return the pauses of the circuit breaker that need a probe now.

        Pauses whose images are also paused for another cause are left out. If the circuit breaker has paused all
        images, only this pause is probed, and none of a single source.
        """
        others = {pause.source_id for pause in pauses if pause.cause is not Cause.BREAKER}
        if None in others:
            return []
        own = [pause for pause in pauses if pause.cause is Cause.BREAKER and pause.source_id not in others]
        of_all = [pause for pause in own if pause.source_id is None]
        now = self._clock()
        return [pause for pause in of_all or own if self._breaker.next_action(pause, None, now) is BreakerAction.PROBE]

    def _check_disk(self, pause: Pause | None) -> None:
        short = self._disk.is_short(before=pause is not None)
        if short and pause is None:
            ledger.pause(self._database, Cause.DISK, detail=self._disk.message, now=self._clock())
        elif pause is not None and not short:
            ledger.end_pauses(self._database, [Cause.DISK], now=self._clock())

    def _check_probe(self, pause: Pause) -> None:
        now = self._clock()
        probe = queries.probe_outcomes(self._database, pause) if pause.probe_batch else None
        next_action = self._breaker.next_action(pause, probe, now)
        if next_action is BreakerAction.RESUME:
            ledger.end_pause(self._database, pause.id, now=now)
        elif next_action is BreakerAction.DISCARD_PROBE:
            ledger.clear_probe(self._database, pause.id)

    def _check_outcomes(self, known: Mapping[int | None, Pause]) -> None:
        """Pause each source whose images are bad; pause all if the machine, the model or nightread is at fault."""
        if None in known:
            return
        now = self._clock()
        latest = queries.latest_outcomes(
            self._database, at_most=self._breaker.images, since=now - _OUTCOMES_SINCE, now=now
        )
        if latest.faulty_sources > 1 and self._breaker.trips(latest.faults):
            detail = self._breaker.message_of_faults(latest.faults)
            ledger.pause(self._database, Cause.BREAKER, detail=detail, now=now)
            return
        for source_id, outcomes in latest.by_source.items():
            if source_id not in known and self._breaker.trips(outcomes):
                detail = self._breaker.message(outcomes)
                ledger.pause(self._database, Cause.BREAKER, detail=detail, now=now, source_id=source_id)
