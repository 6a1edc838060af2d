"""Pause dispatch while the disk is full or too many outcomes are bad, and end these pauses."""

import logging
from collections.abc import Sequence
from datetime import timedelta

from db import ledger, queries
from db.engine import Database
from db.ledger import Cause
from db.queries import Pause
from nightread.clock import Clock
from nightread.settings import Settings
from producer.dispatcher.circuit_breaker import BreakerAction, CircuitBreaker
from producer.dispatcher.disk import DiskReserve

log = logging.getLogger(__name__)

_OUTCOMES_SINCE = timedelta(hours=12)
"""Older outcomes are ignored: an earlier night may have failed for a cause that no longer exists."""


class PauseController:
    """Makes and ends pauses. They are in the database, so that they survive a restart of the dispatcher."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._breaker = CircuitBreaker.from_settings(settings)
        self._disk = DiskReserve(settings)
        self._clock = clock
        self._logged: frozenset[Cause] = frozenset()

    def decide(self) -> None:
        """Begin or end pauses according to the free disk space and the latest outcomes."""
        pauses = {pause.cause: pause for pause in queries.pauses(self._database)}
        self._check_disk(pauses.get(Cause.DISK))
        self._check_outcomes(pauses.get(Cause.BREAKER))

    def pauses(self) -> list[Pause]:
        """Return the pauses in force; log when their causes change."""
        pauses = queries.pauses(self._database)
        causes = frozenset(pause.cause for pause in pauses)
        if causes - self._logged:
            log.warning(
                "dispatch is paused: `nightread status` shows the reason", extra={"cause": ",".join(sorted(causes))}
            )
        elif self._logged and not causes:
            log.warning("dispatch is resumed")
        self._logged = causes
        return pauses

    def wants_probe(self, pauses: Sequence[Pause]) -> bool:
        """Return whether the circuit breaker's pause is the only one and its next probe is due."""
        if [pause.cause for pause in pauses] != [Cause.BREAKER]:
            return False
        return self._breaker.next_action(pauses[0], None, self._clock()) is BreakerAction.PROBE

    def _check_disk(self, pause: Pause | None) -> None:
        short = self._disk.is_short(before=pause is not None)
        if short and pause is None:
            ledger.pause(self._database, Cause.DISK, detail=self._disk.message, now=self._clock())
        elif pause is not None and not short:
            ledger.end_pauses(self._database, [Cause.DISK], now=self._clock())

    def _check_outcomes(self, pause: Pause | None) -> None:
        now = self._clock()
        if pause is None:
            if self._breaker.images:
                latest = queries.latest_outcomes(
                    self._database, at_most=self._breaker.images, since=now - _OUTCOMES_SINCE, now=now
                )
                if self._breaker.trips(latest):
                    ledger.pause(self._database, Cause.BREAKER, detail=self._breaker.message(latest), now=now)
            return
        probe = queries.probe_outcomes(self._database, pause) if pause.probe_batch else None
        next_action = self._breaker.next_action(pause, probe, now)
        if next_action is BreakerAction.RESUME:
            ledger.end_pauses(self._database, [Cause.BREAKER], now=now)
        elif next_action is BreakerAction.DISCARD_PROBE:
            ledger.clear_probe(self._database)
