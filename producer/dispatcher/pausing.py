"""What holds dispatch back: pauses in the ledger, made and ended by a person, by the disk and by bad outcomes."""

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

_RECENT = timedelta(hours=12)
"""What went wrong in an earlier night says nothing of this one."""


class PauseController:
    """Keeps nothing but what it has said: a dispatcher that starts anew finds its pauses in the ledger."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._breaker = CircuitBreaker.of(settings)
        self._disk = DiskReserve(settings)
        self._clock = clock
        self._said: frozenset[Cause] = frozenset()

    def decide(self) -> None:
        """Pause dispatch, or end pauses, by what disk and outcomes say now."""
        pauses = {pause.cause: pause for pause in queries.pauses(self._database)}
        self._mind_disk(pauses.get(Cause.DISK))
        self._mind_outcomes(pauses.get(Cause.BREAKER))

    def pauses(self) -> list[Pause]:
        """Those in force, which the log hears of once."""
        pauses = queries.pauses(self._database)
        causes = frozenset(pause.cause for pause in pauses)
        if causes - self._said:
            log.warning("dispatch is paused: `nightread status` says why", extra={"cause": ",".join(sorted(causes))})
        elif self._said and not causes:
            log.warning("dispatch goes on")
        self._said = causes
        return pauses

    def wants_probe(self, pauses: Sequence[Pause]) -> bool:
        """Whether bad outcomes are all that holds dispatch back, and it is time to see whether they still are bad."""
        if [pause.cause for pause in pauses] != [Cause.BREAKER]:
            return False
        return self._breaker.next_action(pauses[0], None, self._clock()) is BreakerAction.PROBE

    def _mind_disk(self, pause: Pause | None) -> None:
        short = self._disk.is_short(before=pause is not None)
        if short and pause is None:
            ledger.pause(self._database, Cause.DISK, detail=self._disk.sentence, now=self._clock())
        elif pause is not None and not short:
            ledger.end_pauses(self._database, [Cause.DISK], now=self._clock())

    def _mind_outcomes(self, pause: Pause | None) -> None:
        now = self._clock()
        if pause is None:
            if self._breaker.images:
                latest = queries.latest_outcomes(
                    self._database, at_most=self._breaker.images, since=now - _RECENT, now=now
                )
                if self._breaker.trips(latest):
                    ledger.pause(self._database, Cause.BREAKER, detail=self._breaker.sentence(latest), now=now)
            return
        probe = queries.probe_outcomes(self._database, pause) if pause.probe_batch else None
        next_action = self._breaker.next_action(pause, probe, now)
        if next_action is BreakerAction.RESUME:
            ledger.end_pauses(self._database, [Cause.BREAKER], now=now)
        elif next_action is BreakerAction.FORGET:
            ledger.clear_probe(self._database)
