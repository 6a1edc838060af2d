"""Select the studies whose reports may be sent."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from db import queries
from db.engine import Database
from db.ledger.result_actions import studies_sent_by_rules
from nightread.settings import Settings

_OVERLAP = timedelta(minutes=1)
"""How far successive queries overlap, because clocks differ and an outcome is committed later than its timestamp."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """A filter for studies: one UID, or the time at which images of the study got their outcome."""

    study_instance_uid: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class StudySelector:
    """Finds complete studies that got outcomes, or that a rule chose for delivery, since the previous call."""

    def __init__(self, settings: Settings, database: Database, scope: Scope) -> None:
        """Select within `scope`; an empty scope means the last `deliver_days`."""
        self._settings = settings
        self._database = database
        self._scope = scope
        self._unready: dict[str, None] = {}
        self._seen_until: datetime | None = None

    @property
    def unready(self) -> int:
        """Return the number of studies that the latest call of `ready` found not ready."""
        return len(self._unready)

    def restart(self) -> None:
        """Select from the whole scope again. Call this if the studies of the latest call could not be handled."""
        self._seen_until = None

    def ready(self, now: datetime, waiting: Iterable[str] = ()) -> Iterator[str]:
        """Yield the UIDs of studies with new outcomes that seem to be complete.

        `waiting` names studies with a report that is not delivered yet. They are included only if the scope is empty.
        """
        candidates = [*self._unready, *self._updated(now), *(waiting if self._scope == Scope() else ())]
        self._unready = {}
        for study in dict.fromkeys(candidates):
            if self._is_ready(study, now):
                yield study
            else:
                self._unready[study] = None

    def _updated(self, now: datetime) -> list[str]:
        scope = self._scope
        if scope.study_instance_uid is not None:
            return [scope.study_instance_uid]
        since = scope.since or now - timedelta(days=self._settings.deliver_days)
        if self._seen_until is not None:
            since = max(since, self._seen_until - _OVERLAP)
        self._seen_until = now
        found = queries.studies_with_outcomes(self._database, since=since, until=scope.until)
        if scope == Scope() and any(each.studies == "rules" for each in self._settings.destinations):
            found += studies_sent_by_rules(self._database, since=since)  # a rule may act long after the outcome
        return found

    def _is_ready(self, study_instance_uid: str, now: datetime) -> bool:
        """Return whether the study is complete, and none of its images and series is pending.

        A study is complete if its expected number of images arrived, or if no image arrived for `deliver_after_seconds`
        (longer while unread images may belong to it). A study that a user names counts as complete.
        """
        study = next(queries.studies(self._database, now=now, study_instance_uid=study_instance_uid), None)
        if study is None or study.last_arrival is None:
            return False
        quiet_for = timedelta(seconds=self._settings.deliver_after_seconds)
        pending = queries.pending(self._database, study, around=quiet_for)
        if pending.own or queries.has_unformed_series(self._database, study_instance_uid):
            return False
        if study.completeness is queries.Completeness.COMPLETE or self._scope.study_instance_uid is not None:
            return True
        waited = now - study.last_arrival
        patience = max(quiet_for, timedelta(seconds=self._settings.retry_patience_seconds))
        return waited >= quiet_for and (not pending.nearby or waited >= patience)
