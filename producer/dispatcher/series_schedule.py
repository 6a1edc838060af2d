"""Decide which series are due, and ask the workers to form them."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from uuid import uuid4

from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from db import ledger, queries
from db.engine import Database
from db.ledger import CollectingSeries, DueCause
from nightread.clock import Clock
from nightread.nights import Nights, nights_of
from nightread.settings import Settings
from producer.dispatcher.transport import Transport

log = logging.getLogger(__name__)

SERIES_PER_MESSAGE = 16
_MOST = 10_000
"""Most series that are checked in one step."""
_STUDIES_PER_STEP = 100
"""Most studies that are counted in one step, at 1 to 2 ms each."""
_COUNT_AGAIN_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DueRules:
    """The rules by which a series that still collects slices becomes due."""

    quiet: timedelta
    wait: timedelta
    deadline: datetime
    """The latest end of a night that is not in the future."""

    def cause(self, series: CollectingSeries, *, is_complete: bool, has_number: bool, now: datetime) -> DueCause | None:
        """Return why the series is due, or None if it is not.

        `has_number` says whether the number of images of its study is known.
        """
        unchanged = now - series.changed_at
        if is_complete:
            return DueCause.COMPLETE
        if not has_number and unchanged >= self.quiet:
            return DueCause.QUIET
        if has_number and unchanged >= self.wait:
            return DueCause.WAITED
        return DueCause.DEADLINE if series.began_at < self.deadline <= now else None


@dataclass(kw_only=True)
class _Counted:
    """The latest count of the images of a study. `changed_at` is the last change of its series before the count."""

    at: float
    changed_at: datetime
    is_complete: bool = field(default=False)


class SeriesScheduler:
    """Marks series as due. While series are due, it publishes at most one message per worker process."""

    def __init__(
        self,
        database: Database,
        transport: Transport,
        settings: Settings,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._transport = transport
        self._quiet = timedelta(seconds=settings.series_quiet_seconds)
        self._wait = timedelta(seconds=settings.series_wait_seconds)
        self._nights = nights_of(settings)
        self._clock = clock
        self._monotonic = monotonic
        self._counted: dict[str, _Counted] = {}
        self._sent: frozenset[str] = frozenset()

    def step(self) -> None:
        """Take back expired series, mark those that are due, and publish. Raises errors of the database."""
        now = self._clock()
        ledger.return_expired_series(self._database, now=now)
        collecting = ledger.collecting_series(self._database, limit=_MOST)
        if collecting:
            ledger.mark_due(self._database, self._due(collecting, now))
        else:
            self._counted.clear()
        self.publish()

    def publish(self) -> None:
        """Publish messages if series are due and Redis holds no earlier ones. After an error, the next step retries."""
        due = ledger.waiting_series(self._database)
        if not due:
            return
        try:
            messages = self._transport.messages()
            if self._sent & {*messages.waiting, *messages.delivered}:
                return
            slots = ledger.queue_status(self._database, images=1, now=self._clock()).slots
            wanted = min(max(1, slots), ceil(due / SERIES_PER_MESSAGE))
            self._sent = frozenset(str(uuid4()) for _ in range(wanted))
            for message in self._sent:
                self._transport.publish_forming(message)
        except (BrokerError, RedisError, OSError) as error:
            log.warning("series are formed later: Redis is unavailable (%s)", type(error).__name__)

    def _due(self, collecting: Collection[CollectingSeries], now: datetime) -> Mapping[CollectingSeries, DueCause]:
        rules = DueRules(quiet=self._quiet, wait=self._wait, deadline=_last_end(self._nights, now))
        studies = {each.study_instance_uid for each in collecting}
        numbered = queries.studies_with_number(self._database, studies)
        complete = self._complete([each for each in collecting if each.study_instance_uid in numbered], now)
        causes = {
            each: rules.cause(
                each,
                is_complete=each.study_instance_uid in complete,
                has_number=each.study_instance_uid in numbered,
                now=now,
            )
            for each in collecting
        }
        return {each: cause for each, cause in causes.items() if cause is not None}

    def _complete(self, collecting: Collection[CollectingSeries], now: datetime) -> set[str]:
        """Return the studies of these series that are complete (`_is_complete`) by their latest count.

        Stale counts (`_is_stale`) are first repeated, for a limited number of studies per step.
        """
        changes: dict[str, datetime] = {}
        for each in collecting:
            study = each.study_instance_uid
            changes[study] = max(each.changed_at, changes.get(study, each.changed_at))
        self._counted = {study: counted for study, counted in self._counted.items() if study in changes}
        stale = [study for study, changed_at in changes.items() if self._is_stale(study, changed_at)]
        for study in stale[:_STUDIES_PER_STEP]:
            self._counted[study] = _Counted(
                at=self._monotonic(), changed_at=changes[study], is_complete=_is_complete(self._database, study, now)
            )
        return {study for study, counted in self._counted.items() if counted.is_complete}

    def _is_stale(self, study: str, changed_at: datetime) -> bool:
        """Return whether to count the study again: a series changed, or its latest count is more than 30 s old."""
        counted = self._counted.get(study)
        if counted is None or counted.changed_at != changed_at:
            return True
        return self._monotonic() - counted.at >= _COUNT_AGAIN_SECONDS


def _is_complete(database: Database, study_instance_uid: str, now: datetime) -> bool:
    """Return whether the study is complete.

    All its images must have arrived, and each must have an outcome or wait until its series is put in order.
    """
    study = next(queries.studies(database, now=now, study_instance_uid=study_instance_uid), None)
    if study is None or study.completeness is not queries.Completeness.COMPLETE:
        return False
    return not study.unfinished or study.unfinished == queries.waiting_slices_of_study(database, study_instance_uid)


def _last_end(nights: Nights, now: datetime) -> datetime:
    """Return the latest end of a night that is not in the future."""
    evening = nights.latest(now)
    _, end = nights.bounds(evening)
    return end if end <= now else nights.bounds(evening - timedelta(days=1))[1]
