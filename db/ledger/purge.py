"""Remove what identifies images and what was found in them, so that only their counts stay (decision record 21)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select, update

from db.alarm_tables import rule_actions
from db.engine import Database
from db.ledger.locks import stop_recording
from db.ledger.occurrences import forget_occurrences
from db.ledger.reads import forget_studies
from db.ledger.series import remove_series
from db.ledger.study_rows import remove_study_rows
from db.store_tables import copies
from db.tables import UNFINISHED, State, audit, contents, in_state, instances, predictions, work
from imaging.facts import FACT_NAMES
from nightread.reasons import Reason

IMAGES_AT_ONCE = 200
"""Images per transaction. A transaction takes about 20 ms on SQLite, where other writers wait meanwhile."""
_RETENTION = "nightread"


@dataclass(frozen=True, kw_only=True, slots=True)
class Purged:
    """What one or several transactions removed."""

    images: int = 0
    cancelled: int = 0
    """Images that had no outcome; they are `rejected(cancelled)` now."""
    predictions: int = 0
    """Results of frames."""
    reports: int = 0
    """Number of removed rows of `deliveries`; reports that a destination has stay there."""
    places: tuple[tuple[int, str], ...] = ()
    """Where the files of the images are or were: (source id, uri)."""

    def __add__(self, other: "Purged") -> "Purged":
        """Return the sums."""
        return Purged(
            images=self.images + other.images,
            cancelled=self.cancelled + other.cancelled,
            predictions=self.predictions + other.predictions,
            reports=self.reports + other.reports,
            places=self.places + other.places,
        )


def purge(database: Database, image_ids: Sequence[int], *, cause: str, actor: str, now: datetime) -> Purged:
    """Purge these images, in audited transactions of 200 images, so that other writers do not wait long.

    `cause` is a word for the audit table, which otherwise gets only ids and numbers. Images that were purged before
    stay as they are. The caller must list duplicates before their originals (`queries.with_copies`), so that no
    duplicate loses its original first.
    """
    purged = Purged()
    for start in range(0, len(image_ids), IMAGES_AT_ONCE):
        chunk = image_ids[start : start + IMAGES_AT_ONCE]
        purged += database.write(partial(_purge, image_ids=chunk, cause=cause, actor=actor, now=now))
    return purged


def purge_by_age(
    database: Database, image_ids: Sequence[int], *, days: float, duplicates_since: datetime, now: datetime
) -> Purged:
    """Purge these images in one transaction, because they are older than `keep_results_days`.

    An image is left out if a duplicate of it was recorded at `duplicates_since` or later, because the duplicate shows
    its result. The audit table has one entry per day (UTC), with numbers only.
    """

    def transaction(connection: Connection) -> Purged:
        rows = _locked(connection, image_ids)
        in_use = set(connection.execute(_DUPLICATED, {"images": image_ids, "since": duplicates_since}).scalars())
        # Audit entries about views are many: `forget_purged_studies` reads them once, after all transactions.
        purged = _empty(connection, [row for row in rows if row.id not in in_use], now, with_views=False)
        if purged.images:
            _count_in_audit(connection, purged, days, now)
        return purged

    return database.write(transaction)


def purge_study_rows(database: Database, study_instance_uid: str, *, actor: str, now: datetime) -> int:
    """Remove what the database has of a study without images: expected numbers, withdrawals, reports, ground truth.

    Returns the number of removed reports.
    """

    def transaction(connection: Connection) -> int:
        with _overwriting(connection):
            removed = remove_study_rows(connection, [study_instance_uid])
            forget_studies(connection, removed.studies)
        if removed.reports or removed.others:
            detail = {"cause": "study", "images": [], "reports": removed.reports}
            connection.execute(insert(audit).values(at=now, actor=actor, action="images.purge", detail=detail))
        return removed.reports

    return database.write(transaction)


def _purge(connection: Connection, *, image_ids: Sequence[int], cause: str, actor: str, now: datetime) -> Purged:
    rows = _locked(connection, image_ids)
    purged = _empty(connection, rows, now, with_views=True)
    if purged.images:
        detail = {"cause": cause, "images": [row.id for row in rows], **_numbers(purged)}
        connection.execute(insert(audit).values(at=now, actor=actor, action="images.purge", detail=detail))
    return purged


def _locked(connection: Connection, image_ids: Sequence[int]) -> Sequence[Row[Any]]:
    """Return the images that are not purged yet. No outcome is recorded until the transaction ends."""
    stop_recording(connection)
    return connection.execute(_NOT_PURGED, {"images": image_ids}).all()


def _empty(connection: Connection, rows: Sequence[Row[Any]], now: datetime, *, with_views: bool) -> Purged:
    """Empty the rows of these images, and remove all other rows that belong only to them."""
    if not rows:
        return Purged()
    named: dict[str, Any] = {"images": [row.id for row in rows]}
    with _overwriting(connection):
        removed = connection.execute(_DELETE_PREDICTIONS, named).rowcount
        for statement in (_DELETE_CONTENTS, _DELETE_COPIES, _EMPTY_WORK):
            connection.execute(statement, named)
        cancelled = connection.execute(_CANCEL, {**named, "now": now}).rowcount
        connection.execute(_EMPTY_IMAGES, {**named, "now": now})
        connection.execute(_END_CONFLICTS, named)
        connection.execute(_ACTIONS_OF_RULES, {"subjects": [f"image {row.id}" for row in rows]})
        forget_occurrences(connection, named["images"])
        named_series = [row for row in rows if row.study_instance_uid and row.series_instance_uid]
        remove_series(connection, {(row.study_instance_uid, row.series_instance_uid) for row in named_series})
        besides = remove_study_rows(
            connection,
            {row.study_instance_uid for row in rows} - {None},
            {row.sop_instance_uid for row in rows} - {None},
            {row.accession_key for row in rows} - {None},
        )
        if with_views:
            forget_studies(connection, besides.studies)
    return Purged(
        images=len(rows),
        cancelled=cancelled,
        predictions=removed,
        reports=besides.reports,
        places=tuple((row.source_id, row.uri) for row in rows),
    )


@contextmanager
def _overwriting(connection: Connection) -> Iterator[None]:
    """Make SQLite overwrite what it deletes; otherwise the bytes stay in the file until their space is used again."""
    if connection.dialect.name != "sqlite":
        yield
        return
    before = connection.exec_driver_sql("PRAGMA secure_delete").scalar()
    connection.exec_driver_sql("PRAGMA secure_delete=ON")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA secure_delete={before}")


def _count_in_audit(connection: Connection, purged: Purged, days: float, now: datetime) -> None:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    entry = connection.execute(_EXPIRED_SINCE, {"since": midnight}).first()
    numbers = {"images": purged.images, **_numbers(purged)}
    if entry is None:
        detail = {"days": days, **numbers}
        connection.execute(insert(audit).values(at=now, actor=_RETENTION, action="images.expire", detail=detail))
        return
    sums = {name: number + entry.detail[name] for name, number in numbers.items()}
    connection.execute(update(audit).where(audit.c.id == entry.id).values(detail={"days": days, **sums}))


def _numbers(purged: Purged) -> dict[str, int]:
    return {"cancelled": purged.cancelled, "predictions": purged.predictions, "reports": purged.reports}


_OF_IMAGES = work.c.instance_id.in_(bindparam("images", expanding=True))
_IDS_OF_WORK = select(work.c.id).where(_OF_IMAGES)

_NOT_PURGED: Select[Any] = (
    select(
        instances.c.id,
        instances.c.source_id,
        instances.c.uri,
        instances.c.study_instance_uid,
        instances.c.series_instance_uid,
        instances.c.sop_instance_uid,
        instances.c.accession_key,
    )
    .where(instances.c.id.in_(bindparam("images", expanding=True)), instances.c.purged_at.is_(None))
    .order_by(instances.c.id)
)
_DUPLICATED = select(work.c.duplicate_of).where(
    work.c.finished_at >= bindparam("since", type_=work.c.finished_at.type),
    work.c.state.concat("") == State.DUPLICATE.value,  # an expression, so that SQLite searches by the times instead
    work.c.duplicate_of.in_(bindparam("images", expanding=True)),
)
_DELETE_PREDICTIONS = delete(predictions).where(predictions.c.work_id.in_(_IDS_OF_WORK))
_DELETE_CONTENTS = delete(contents).where(
    # Find the rows by hash, the primary key, because `work_id` has no index.
    contents.c.content.in_(select(instances.c.content).where(instances.c.id.in_(bindparam("images", expanding=True)))),
    contents.c.work_id.in_(_IDS_OF_WORK),
)
_ACTIONS_OF_RULES = delete(rule_actions).where(  # actions for images without a study
    rule_actions.c.subject.in_(bindparam("subjects", expanding=True))
)
_DELETE_COPIES = delete(copies).where(copies.c.original_id.in_(bindparam("images", expanding=True)))
# Further rows of work are emptied and not deleted: SQLite would read all of `contents` for each deleted row.
_EMPTY_WORK = (
    update(work)
    .where(_OF_IMAGES)
    .values(
        **dict.fromkeys(
            (
                "detail",
                "label",
                "score",
                "scores",
                "suspicion",
                "matched",
                "remarks",
                "intensities",
                "bundle_id",
                "route_id",
            )
        ),
        shadow=False,
    )
)
_CANCEL = (
    update(work)
    .where(_OF_IMAGES, in_state(*UNFINISHED))
    .values(
        state=State.REJECTED,
        reason=Reason.CANCELLED.value,
        finished_at=bindparam("now", type_=work.c.finished_at.type),
        lease_until=None,
        not_before=None,
    )
)
_EMPTY_IMAGES = (
    update(instances)
    .where(instances.c.id.in_(bindparam("images", expanding=True)))
    .values(
        uri="",
        content=None,
        member_name=None,
        withdrawn_by=None,
        withdrawn_code=None,
        conflict_with=None,
        purged_at=bindparam("now", type_=instances.c.purged_at.type),
        **dict.fromkeys(FACT_NAMES),
    )
)
_END_CONFLICTS = (
    update(instances)
    .where(instances.c.conflict_with.in_(bindparam("images", expanding=True)))
    .values(conflict_with=None)
)
_EXPIRED_SINCE = (
    select(audit.c.id, audit.c.detail)
    .where(audit.c.at >= bindparam("since", type_=audit.c.at.type), audit.c.action == "images.expire")
    .order_by(audit.c.id.desc())
    .limit(1)
)
