"""Which studies are looked at for something to report, and which of them are ready."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from db import queries
from db.engine import Database
from nightread.settings import Settings

_OVERLAP = timedelta(minutes=1)
"""Clocks of hosts differ, and an outcome is seen a little after its time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Studies by their UID, or by when images of them got their outcome."""

    study_instance_uid: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class StudySelector:
    """Studies with something new, look by look."""

    def __init__(self, settings: Settings, database: Database, scope: Scope) -> None:
        """Without any limit the scope is the last `deliver_days`."""
        self._settings = settings
        self._database = database
        self._scope = scope
        self._unready: dict[str, None] = {}
        self._seen_until: datetime | None = None

    @property
    def unready(self) -> int:
        """Studies that were not ready when last looked at."""
        return len(self._unready)

    def begin_again(self) -> None:
        """Look at the whole scope once more: what was found last was not dealt with."""
        self._seen_until = None

    def ready(self, now: datetime, waiting: Iterable[str] = ()) -> Iterator[str]:
        """UIDs of studies that may have something new to report, and are whole as far as one can tell.

        `waiting` are those with a report on its way: looked at too, where the scope has no limits.
        """
        candidates = [*self._unready, *self._news(now), *(waiting if self._scope == Scope() else ())]
        self._unready = {}
        for study in dict.fromkeys(candidates):
            if self._is_ready(study, now):
                yield study
            else:
                self._unready[study] = None

    def _news(self, now: datetime) -> list[str]:
        scope = self._scope
        if scope.study_instance_uid is not None:
            return [scope.study_instance_uid]
        since = scope.since or now - timedelta(days=self._settings.deliver_days)
        if self._seen_until is not None:
            since = max(since, self._seen_until - _OVERLAP)
        self._seen_until = now
        return queries.studies_with_outcomes(self._database, since=since, until=scope.until)

    def _is_ready(self, study_instance_uid: str, now: datetime) -> bool:
        """Complete by count, or quiet; what a person names need not be quiet."""
        study = next(queries.studies(self._database, now=now, study_instance_uid=study_instance_uid), None)
        if study is None or study.last_arrival is None:
            return False
        quiet_for = timedelta(seconds=self._settings.deliver_after_seconds)
        pending = queries.pending(self._database, study, around=quiet_for)
        if pending.own:
            return False
        if study.completeness is queries.Completeness.COMPLETE or self._scope.study_instance_uid is not None:
            return True
        waited = now - study.last_arrival
        patience = max(quiet_for, timedelta(seconds=self._settings.retry_patience_seconds))
        return waited >= quiet_for and (not pending.nearby or waited >= patience)
