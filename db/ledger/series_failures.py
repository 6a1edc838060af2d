"""Limit the attempts to form a series: after the last attempt, the series fails, and so do slices that wait for it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Update, bindparam, insert, select, update

from db.engine import Database
from db.ledger.series import COLLECT, OF_KEYS, SeriesKey
from db.ledger.series_values import ClaimedSeries, DueCause, SeriesState
from db.series_tables import FAILURE, is_unformed, series
from db.tables import State, audit, in_state, instances, work
from nightread.reasons import Reason

SERIES_ATTEMPTS = 3
"""Largest number of attempts to form a series; a new slice or a retry by a person sets the count to 0."""
_DIED = f"The worker process died in {SERIES_ATTEMPTS} of {SERIES_ATTEMPTS} attempts to form the series."
_IDS_AT_ONCE = 1000


def fail_series(database: Database, claimed: ClaimedSeries, *, error: str, now: datetime) -> bool:
    """Record that an attempt to form a series failed; `error` is the name of the exception.

    The series is collecting again, as if a slice had arrived now. After the third attempt it is
    `failed(series_not_formed)`, and so are its slices that wait for their neighbouring slices. Returns False if the
    claim has ended meanwhile, because of another process or a new slice.
    """

    def transaction(connection: Connection) -> bool:
        held = {"which": claimed.id, "mine": claimed.claim}
        row = connection.execute(_HELD, held).one_or_none()
        if row is None:
            return False
        if row.attempts < SERIES_ATTEMPTS:
            connection.execute(_AGAIN_LATER, {"which": claimed.id, "now": now})
        else:
            detail = f"Forming the series failed in {row.attempts} attempts ({error}); see the worker's log."
            _fail(connection, row, Reason.SERIES_NOT_FORMED, detail, now)
        return True

    return database.write(transaction)


def return_expired_series(database: Database, *, now: datetime) -> int:
    """Mark series with an expired lease as due again; after the third attempt they are `failed(killed_worker)`.

    If a series fails, its slices that wait for their neighbouring slices become `failed(series_not_formed)`. Returns
    the number of series whose lease had expired.
    """

    def transaction(connection: Connection) -> int:
        expired = connection.execute(_EXPIRED, {"now": now}).all()
        for row in expired:
            if row.attempts < SERIES_ATTEMPTS:
                connection.execute(_DUE_AGAIN, {"which": row.id})
            else:
                _fail(connection, row, Reason.KILLED_WORKER, _DIED, now)
        return len(expired)

    with database.read() as connection:
        if not connection.execute(_ANY_EXPIRED, {"now": now}).first():
            return 0
    return database.write(transaction)


def retry_series(database: Database, series_ids: Sequence[int], *, actor: str, now: datetime) -> int:
    """Mark failed series as due, with 0 attempts; other series stay as they are. Returns the number of marked series.

    A series has also failed if it was formed and a result of it failed, because its bundle was gone.
    Slices that failed with `series_not_formed` wait for their series again. Each 1,000 series are one transaction with
    a row of `audit`, which keeps the earlier reasons of the series.
    """

    def retry_some(ids: Sequence[int]) -> int:
        def transaction(connection: Connection) -> int:
            failed = connection.execute(_FAILED, {"ids": ids}).all()
            if failed:
                connection.execute(_ASK, {"ids": [row.id for row in failed]})
                connection.execute(_WAIT_AGAIN, {"ids": [row.id for row in failed]})
                detail = {"series": [[row.id, row.reason] for row in failed]}
                connection.execute(insert(audit).values(at=now, actor=actor, action="series.retry", detail=detail))
            return len(failed)

        return database.write(transaction)

    starts = range(0, len(series_ids), _IDS_AT_ONCE)
    return sum(retry_some(series_ids[start : start + _IDS_AT_ONCE]) for start in starts)


def collect_failed_series(connection: Connection, image_ids: Sequence[int], now: datetime) -> None:
    """Mark the failed series of these images as collecting, with 0 attempts, as part of a retry of the images."""
    _change_series_of(connection, image_ids, _COLLECT_FAILED, now)


def collect_series_of(connection: Connection, image_ids: Sequence[int], now: datetime) -> None:
    """Mark the series of these images as collecting, as the outcome of a slice does."""
    _change_series_of(connection, image_ids, COLLECT, now)


def _change_series_of(connection: Connection, image_ids: Sequence[int], change: Update, now: datetime) -> None:
    keys: set[SeriesKey] = {tuple(row) for row in connection.execute(_KEYS_OF_IMAGES, {"images": image_ids})}
    if keys:
        connection.execute(change, {"keys": sorted(keys), "now": now})


def _fail(connection: Connection, row: Any, reason: Reason, detail: str, now: datetime) -> None:
    """Mark a series as failed, and end the slices that wait for it, because nothing else would end them."""
    connection.execute(_FAIL, {"which": row.id, "why": reason.value, "sentence": detail, "now": now})
    of_series = {"study": row.study_instance_uid, "series": row.series_instance_uid}
    connection.execute(_END_SLICES, {**of_series, "now": now})


_NOW: Any = bindparam("now", type_=series.c.changed_at.type)
_WHICH = series.c.id == bindparam("which")
_NO_CLAIM: dict[str, Any] = {"claim": None, "lease_until": None}
_KEY_COLUMNS = (series.c.id, series.c.study_instance_uid, series.c.series_instance_uid, series.c.attempts)
_HELD: Select[Any] = (
    select(*_KEY_COLUMNS)
    .where(_WHICH, is_unformed(SeriesState.FORMING.value), series.c.claim == bindparam("mine"))
    .with_for_update()
)
_IS_EXPIRED = is_unformed(SeriesState.FORMING.value) & (series.c.lease_until < _NOW)
_ANY_EXPIRED = select(series.c.id).where(_IS_EXPIRED).limit(1)
_EXPIRED: Select[Any] = select(*_KEY_COLUMNS).where(_IS_EXPIRED).order_by(series.c.id).with_for_update()
_DUE_AGAIN = update(series).where(_WHICH).values(state=SeriesState.DUE.value, **_NO_CLAIM)
_AGAIN_LATER = (
    update(series).where(_WHICH).values(state=SeriesState.COLLECTING.value, changed_at=_NOW, cause=None, **_NO_CLAIM)
)
_FAIL = (
    update(series)
    .where(_WHICH)
    .values(
        state=SeriesState.FAILED.value,
        reason=bindparam("why"),
        detail=bindparam("sentence"),
        changed_at=_NOW,
        **_NO_CLAIM,
    )
)
_END_SLICES = (
    update(work)
    .where(
        work.c.instance_id.in_(
            select(instances.c.id).where(
                instances.c.study_instance_uid == bindparam("study"),
                instances.c.series_instance_uid == bindparam("series"),
            )
        ),
        work.c.ordinal == 0,
        in_state(State.RECEIVED),
        work.c.reason == Reason.AWAITING_SERIES.value,
    )
    .values(
        state=State.FAILED,
        reason=Reason.SERIES_NOT_FORMED.value,
        detail=Reason.SERIES_NOT_FORMED.message,
        not_before=None,
        finished_at=bindparam("now", type_=work.c.finished_at.type),
    )
)
_WAIT_AGAIN = (
    update(work)
    .where(
        work.c.instance_id.in_(
            select(instances.c.id)
            .join(
                series,
                (series.c.study_instance_uid == instances.c.study_instance_uid)
                & (series.c.series_instance_uid == instances.c.series_instance_uid),
            )
            .where(series.c.id.in_(bindparam("ids", expanding=True)))
        ),
        work.c.ordinal == 0,
        in_state(State.FAILED),
        work.c.reason == Reason.SERIES_NOT_FORMED.value,
    )
    .values(
        state=State.RECEIVED,
        reason=Reason.AWAITING_SERIES.value,
        detail=None,
        finished_at=None,
        attempts=0,
        deaths=0,
        expiries=0,
        tried_since=None,
    )
)
_HAS_FAILED = FAILURE.is_not(None)
_FAILED = (
    select(series.c.id, FAILURE.label("reason"))
    .where(series.c.id.in_(bindparam("ids", expanding=True)), _HAS_FAILED)
    .order_by(series.c.id)
    .with_for_update()
)
_ANEW: dict[str, Any] = {"attempts": 0, "reason": None, "detail": None}
_ASK = (
    update(series)
    .where(series.c.id.in_(bindparam("ids", expanding=True)))
    .values(state=SeriesState.DUE.value, cause=DueCause.ASKED.value, **_ANEW)
)
_KEYS_OF_IMAGES = (
    select(instances.c.study_instance_uid, instances.c.series_instance_uid)
    .where(
        instances.c.id.in_(bindparam("images", expanding=True)),
        instances.c.study_instance_uid.is_not(None),
        instances.c.series_instance_uid.is_not(None),
    )
    .distinct()
)
_COLLECT_FAILED = (
    update(series)
    .where(OF_KEYS, _HAS_FAILED)
    .values(state=SeriesState.COLLECTING.value, began_at=_NOW, changed_at=_NOW, cause=None, **_ANEW)
)
