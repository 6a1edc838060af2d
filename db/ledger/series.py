"""Follow each series from its first slice to its result (docs/decisions/0036-series-as-a-unit.md)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, bindparam, case, delete, func, select, tuple_, update

from db.engine import Database
from db.ledger.bundles import RegisteredBundle
from db.ledger.series_values import ClaimedSeries, CollectingSeries, DueCause, SeriesState
from db.ledger.upsert import insert_if_absent
from db.ledger.values import Outcome
from db.series_tables import is_unformed, series, series_results
from db.tables import FINAL, State
from imaging.facts import Facts
from nightread.reasons import Reason

SeriesKey = tuple[str, str]
"""Identifies a series: Study and Series Instance UID, because some devices give series of different studies the same
UID."""
_KEYS_AT_ONCE = 2000


def note_slices(
    connection: Connection,
    outcomes: Sequence[Outcome],
    bundles: Mapping[int, RegisteredBundle],
    read_before: frozenset[int],
    now: datetime,
) -> None:
    """Mark the series of these outcomes as collecting, as part of the transaction that records the outcomes.

    If a slice belongs to a bundle of unit `series`, its series is inserted if it does not exist. An existing series is
    also marked for an image without a result, for a duplicate, and for a note that withdraws images of its study,
    because these change its result. `read_before` has the ids of images that were read earlier. If such an image still
    waits for its series, it does not mark a series that is not formed yet: the series would never become quiet.
    """
    slices = [outcome for outcome in outcomes if _is_slice(outcome, bundles)]
    if slices:
        begun = _series_of(each.facts for each in slices)
        rows = [(study, uid, SeriesState.COLLECTING.value, now, now, 0) for study, uid in begun]
        insert_if_absent(connection, series, _COLUMNS, rows)
    again = [each for each in slices if each.state is State.RECEIVED and each.instance_id in read_before]
    changing = [each for each in slices if not (each.state is State.RECEIVED and each.instance_id in read_before)]
    changing += [each for each in outcomes if each.state in FINAL and each.state is not State.DONE]
    if changed := _series_of(each.facts for each in changing):
        connection.execute(COLLECT, {"keys": changed, "now": now})
    if asked := _series_of(each.facts for each in again):
        connection.execute(_COLLECT_ENDED, {"keys": asked, "now": now})
    withdrawn = [
        o.annotations.withdrawal.study_instance_uid for o in outcomes if o.annotations and o.annotations.withdrawal
    ]
    if withdrawn:
        connection.execute(_COLLECT_STUDIES, {"studies": withdrawn, "now": now})


def collecting_series(database: Database, *, limit: int) -> list[CollectingSeries]:
    """List series that collect slices, the oldest first."""
    with database.read() as connection:
        return [CollectingSeries(*row) for row in connection.execute(_COLLECTING, {"most": limit})]


def mark_due(database: Database, causes: Mapping[CollectingSeries, DueCause]) -> int:
    """Mark these series as due, except series that changed after they were listed. Returns the number of due series."""
    if not causes:
        return 0
    rows = [{"which": each.id, "seen": each.changed_at, "why": cause.value} for each, cause in causes.items()]
    return database.write(lambda connection: sum(connection.execute(_DUE, row).rowcount for row in rows))


def mark_all_due(database: Database) -> int:
    """Mark every collecting series as due, because no further slice is expected. Returns the number of series."""
    return database.write(lambda connection: connection.execute(_ALL_DUE).rowcount)


def waiting_series(database: Database) -> int:
    """Return the number of series that are due and not claimed."""
    with database.read() as connection:
        return connection.execute(_COUNT_DUE).scalar_one()


def claim_series(database: Database, *, most: int, lease: timedelta, now: datetime) -> list[ClaimedSeries]:
    """Claim up to `most` due series, and return the claimed series, which this process now forms."""
    claim = str(uuid4())

    def transaction(connection: Connection) -> list[ClaimedSeries]:
        rows = connection.execute(_NEXT, {"most": most}).all()
        if rows:
            values = {"ids": [row.id for row in rows], "mine": claim, "until": now + lease}
            connection.execute(_CLAIM, values)
        return [
            ClaimedSeries(row.id, row.series_instance_uid, row.study_instance_uid, DueCause(row.cause), claim)
            for row in rows
        ]

    with database.read() as connection:
        if not connection.execute(_COUNT_DUE).scalar_one():
            return []
    return database.write(transaction)


def return_forming_series(connection: Connection) -> None:
    """Mark all series in the state `forming` as due again. Call this only while no process forms series."""
    connection.execute(_RETURN)


def remove_series(connection: Connection, keys: Collection[SeriesKey]) -> int:
    """Remove series and their results, because their images are purged or their patient opted out.

    A later slice of the series inserts it again. Returns the number of removed results.
    """
    ordered, removed = sorted(keys), 0
    for start in range(0, len(ordered), _KEYS_AT_ONCE):
        named = {"keys": ordered[start : start + _KEYS_AT_ONCE]}
        removed += connection.execute(_REMOVE_RESULTS, named).rowcount
        connection.execute(_REMOVE, named)
    return removed


def _series_of(facts: Iterable[Facts]) -> list[SeriesKey]:
    return sorted(
        {
            (each.study_instance_uid, each.series_instance_uid)
            for each in facts
            if each.study_instance_uid and each.series_instance_uid
        }
    )


def _is_slice(outcome: Outcome, bundles: Mapping[int, RegisteredBundle]) -> bool:
    """Return whether the image belongs to a bundle of unit `series`.

    This is so if such a bundle has analysed the image, or if the image waits for the order of its series.
    """
    if outcome.state is not State.DONE:
        return outcome.state is State.RECEIVED and outcome.reason is Reason.AWAITING_SERIES
    named = (outcome.bundle_id, *(prediction.bundle_id for prediction in outcome.further))
    return any(bundle_id is not None and bundles[bundle_id].of_series for bundle_id in named)


_COLUMNS = ("study_instance_uid", "series_instance_uid", "state", "began_at", "changed_at", "attempts")
_NOW: Any = bindparam("now", type_=series.c.changed_at.type)


_COLLECTED: dict[str, Any] = {
    "state": SeriesState.COLLECTING.value,
    "began_at": case((is_unformed(SeriesState.COLLECTING.value), series.c.began_at), else_=_NOW),
    "changed_at": _NOW,
    "cause": None,
    "claim": None,
    "lease_until": None,
    "attempts": 0,
    "reason": None,
    "detail": None,
}
OF_KEYS = tuple_(series.c.study_instance_uid, series.c.series_instance_uid).in_(bindparam("keys", expanding=True))
COLLECT = update(series).where(OF_KEYS).values(_COLLECTED)
_COLLECT_ENDED = (
    update(series)
    .where(OF_KEYS, series.c.state.in_((SeriesState.FORMED.value, SeriesState.FAILED.value)))
    # Keep the attempts, because the slice is not new: otherwise a series that always fails would be tried forever.
    .values({name: value for name, value in _COLLECTED.items() if name != "attempts"})
)
_COLLECT_STUDIES = (
    update(series).where(series.c.study_instance_uid.in_(bindparam("studies", expanding=True))).values(_COLLECTED)
)
_COLLECTING = (
    select(series.c.id, series.c.study_instance_uid, series.c.began_at, series.c.changed_at)
    .where(is_unformed(SeriesState.COLLECTING.value))
    .order_by(series.c.id)
    .limit(bindparam("most"))
)
_DUE = (
    update(series)
    .where(
        series.c.id == bindparam("which"),
        is_unformed(SeriesState.COLLECTING.value),
        series.c.changed_at == bindparam("seen", type_=series.c.changed_at.type),
    )
    .values(state=SeriesState.DUE.value, cause=bindparam("why"))
)
_ALL_DUE = (
    update(series)
    .where(is_unformed(SeriesState.COLLECTING.value))
    .values(state=SeriesState.DUE.value, cause=DueCause.ASKED.value)
)
_COUNT_DUE = select(func.count()).select_from(series).where(is_unformed(SeriesState.DUE.value))
_NEXT = (
    select(series.c.id, series.c.series_instance_uid, series.c.study_instance_uid, series.c.cause)
    .where(is_unformed(SeriesState.DUE.value))
    .order_by(series.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(series)
    .where(series.c.id.in_(bindparam("ids", expanding=True)))
    .values(
        state=SeriesState.FORMING.value,
        claim=bindparam("mine"),
        lease_until=bindparam("until", type_=series.c.lease_until.type),
        attempts=series.c.attempts + 1,
    )
)
_RETURN = (
    update(series)
    .where(is_unformed(SeriesState.FORMING.value))
    .values(state=SeriesState.DUE.value, claim=None, lease_until=None)
)
_REMOVE_RESULTS = delete(series_results).where(series_results.c.series_id.in_(select(series.c.id).where(OF_KEYS)))
_REMOVE = delete(series).where(OF_KEYS)
