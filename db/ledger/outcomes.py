"""Record the outcomes of a batch, in one transaction."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, case, or_, select, update

from db.bulk import write_rows
from db.engine import Database
from db.ledger.annotations import apply_annotations
from db.ledger.bundles import RegisteredBundle, registered_bundles
from db.ledger.conflicts import log_conflicts, write_audit
from db.ledger.copies import add_copies
from db.ledger.identity import mark_unowned, settle_duplicates
from db.ledger.locks import begin_recording, lock_other_images
from db.ledger.occurrences import forget_occurrences, note_occurrences
from db.ledger.opt_outs import opted_out_keys, refuse
from db.ledger.predictions import add_further_predictions, insert_predictions
from db.ledger.refused_values import REFUSALS, is_refused_value, unstorable
from db.ledger.replaced import follow_files, unmark_same_bytes
from db.ledger.series import SeriesKey, note_slices, remove_series
from db.ledger.values import Conflict, Outcome
from db.ledger.versions import supersede
from db.tables import FINAL, IN_BATCH, State, batches, in_state, instances, work
from imaging.facts import FACT_NAMES
from nightread.reasons import Reason
from nightread.sources import OverwritePolicy

log = logging.getLogger(__name__)


def record(
    database: Database,
    batch_id: str,
    outcomes: Sequence[Outcome],
    *,
    seconds: dict[str, float],
    release: str,
    runtime: str | None = None,
    now: datetime,
    policy: OverwritePolicy = "same_source",
) -> Counter[str]:
    """Write outcomes, facts and predictions of the images that this batch still holds, and close the batch.

    Images that were taken back meanwhile stay unchanged, because their next batch records them. If the database refuses
    the values of one image, only that image becomes `failed(unstorable)`. Images of patients who opted out are
    rejected, whatever their outcome. `policy` says which images may replace and withdraw others. `release` and
    `runtime` say which software analysed the batch. Returns the number of images by state.
    """
    closing = {"seconds": seconds, "release": release, "runtime": runtime}

    def in_bulk(connection: Connection) -> _Recorded:
        return _record(connection, batch_id, outcomes, closing, now, policy)

    def one_by_one(connection: Connection) -> _Recorded:
        storable = [_storable(connection, batch_id, outcome, now, policy) for outcome in outcomes]
        return _record(connection, batch_id, storable, closing, now, policy)

    try:
        recorded = database.write_bulk(in_bulk, wait_for_disk=any(_must_last(outcome) for outcome in outcomes))
    except REFUSALS as error:
        if not is_refused_value(error):
            raise
        log.warning("the database refused a value: recording the batch image by image", extra={"batch": batch_id})
        recorded = database.write(one_by_one)
    log_conflicts(log, recorded.conflicts, batch_id)
    return recorded.counts


class _Recorded(NamedTuple):
    counts: Counter[str]
    conflicts: list[Conflict]


def _record(
    connection: Connection,
    batch_id: str,
    outcomes: Sequence[Outcome],
    closing: Mapping[str, Any],
    now: datetime,
    policy: OverwritePolicy,
) -> _Recorded:
    begin_recording(connection)
    held: dict[int, Any] = {row.id: row for row in connection.execute(_HELD, {"batch": batch_id}).all()}
    held_outcomes = [_unless_changed(outcome, held[outcome.work_id]) for outcome in outcomes if outcome.work_id in held]
    bundles = registered_bundles(connection, held_outcomes)
    opted_out = opted_out_keys(connection)
    held_outcomes = settle_duplicates(connection, refuse(held_outcomes, opted_out))
    held_outcomes = refuse(held_outcomes, opted_out)  # by now, duplicates have the facts of their originals
    _write(connection, held_outcomes, bundles, now)
    add_further_predictions(connection, batch_id, held_outcomes, bundles, now)
    lock_other_images(connection)
    note_occurrences(connection, held_outcomes)
    if read_before := [o.instance_id for o in held_outcomes if held[o.work_id].content is not None]:
        forget_occurrences(connection, read_before)  # their facts may have changed or be gone
    copied = add_copies(connection, held_outcomes, held)
    conflicts = supersede(connection, held_outcomes, copied, policy)
    unmark_same_bytes(connection, held_outcomes)
    conflicts += apply_annotations(connection, held_outcomes, copied, policy, now)
    note_slices(connection, held_outcomes, bundles, frozenset(read_before), now)
    remove_series(connection, _series_of_opted_out(held_outcomes, held))
    write_audit(connection, conflicts, now)
    counts = Counter(outcome.state.value for outcome in held_outcomes)
    connection.execute(CLOSE_BATCH, {**closing, "batch": batch_id, "now": now, "outcomes": dict(counts)})
    return _Recorded(counts, conflicts)


def _series_of_opted_out(outcomes: Sequence[Outcome], held: Mapping[int, Row[Any]]) -> set[SeriesKey]:
    """Return the series of images that were read before their patient opted out; their results must be removed."""
    refused = [held[outcome.work_id] for outcome in outcomes if outcome.reason is Reason.OPTED_OUT]
    known = [row for row in refused if row.study_instance_uid and row.series_instance_uid]
    return {(row.study_instance_uid, row.series_instance_uid) for row in known}


def _must_last(outcome: Outcome) -> bool:
    """Return whether the committed outcome must survive a crash of the database's server.

    If a result is lost, the lease expires, and the image is analysed again with the same result. But a rejected image
    cannot always be analysed again: after the commit the worker removes its file from the spool
    (worker.archives.discard).
    """
    return outcome.state not in (State.DONE, State.DUPLICATE, State.RECEIVED)


def _unless_changed(outcome: Outcome, held: Row[Any]) -> Outcome:
    """Return the outcome, or `received` if the ledger knows that the file was replaced after it was read."""
    if (
        outcome.size is None
        or outcome.state is State.RECEIVED
        or (outcome.size, outcome.mtime_ns) == (held.size, held.mtime_ns)
    ):
        return outcome
    return Outcome(
        work_id=outcome.work_id,
        instance_id=outcome.instance_id,
        state=State.RECEIVED,
        reason=Reason.STILL_CHANGING,
        detail="The file was replaced while it was analysed.",
    )


def _write(
    connection: Connection, outcomes: Sequence[Outcome], bundles: dict[int, RegisteredBundle], now: datetime
) -> None:
    write_rows(connection, FINISH, FINISH_NAMES, [work_row(outcome, bundles, now) for outcome in outcomes])
    read = [outcome for outcome in outcomes if outcome.content is not None or outcome.reason is Reason.OPTED_OUT]
    kept = [(outcome.instance_id, outcome.content, *outcome.facts) for outcome in read]
    write_rows(connection, _KEEP_FACTS, _KEEP_FACTS_NAMES, kept)
    mark_unowned(connection, read)
    follow_files(connection, outcomes)
    done = (outcome for outcome in outcomes if outcome.state is State.DONE)
    insert_predictions(connection, [(outcome.work_id, frame) for outcome in done for frame in outcome.frames])


def work_row(outcome: Outcome, bundles: dict[int, RegisteredBundle], now: datetime) -> tuple[object, ...]:
    """Return the values of an outcome in the order of FINISH_NAMES."""
    return (
        outcome.work_id,
        outcome.state.value,
        outcome.reason.value if outcome.reason else None,
        outcome.detail,
        outcome.not_before,
        outcome.alone,
        outcome.uncounted,
        outcome.duplicate_of,
        outcome.bundle_id,
        outcome.label,
        outcome.score,
        outcome.scores,
        bundles[outcome.bundle_id].suspicion(outcome.scores) if outcome.bundle_id else None,
        now if outcome.state in FINAL else None,
        outcome.route_id,
        outcome.matched,
        outcome.remarks,
        outcome.intensities,
    )


def _storable(
    connection: Connection, batch_id: str, outcome: Outcome, now: datetime, policy: OverwritePolicy
) -> Outcome:
    """Return the outcome if the database accepts it.

    Otherwise return it without further predictions; if the database refuses this too, return a failure.
    """
    without_further = outcome._replace(further=())
    for attempt in (outcome, without_further) if outcome.further else (outcome,):
        if _can_store(connection, batch_id, attempt, now, policy):
            return attempt
    return unstorable(outcome)


def _can_store(connection: Connection, batch_id: str, outcome: Outcome, now: datetime, policy: OverwritePolicy) -> bool:
    savepoint = connection.begin_nested()
    try:
        _record(connection, batch_id, [outcome], _NOT_CLOSED, now, policy)
    except REFUSALS as error:
        if not is_refused_value(error):
            raise
        extra = {"image": outcome.instance_id, "error": type(error).__name__}
        log.warning("the database refused the values of an image", extra=extra)
        return False
    finally:
        savepoint.rollback()
    return True


_HELD = (
    select(
        work.c.id,
        instances.c.size,
        instances.c.mtime_ns,
        instances.c.source_id,
        instances.c.sender_id,
        instances.c.parent_id,
        instances.c.content,
        instances.c.study_instance_uid,
        instances.c.series_instance_uid,
    )
    .join(instances, instances.c.id == work.c.instance_id)
    .where(work.c.batch_id == bindparam("batch"), IN_BATCH, in_state(State.RUNNING))
    .order_by(work.c.id)
    .with_for_update(of=work)
)

FINISH_NAMES = (
    "work",
    "state",
    "reason",
    "detail",
    "not_before",
    "travels_alone",
    "uncounted",
    "duplicate_of",
    "bundle_id",
    "label",
    "score",
    "scores",
    "suspicion",
    "finished_at",
    "route_id",
    "matched",
    "remarks",
    "intensities",
)
_AS_GIVEN = ("duplicate_of", "bundle_id", "label", "score", "suspicion", "route_id", "remarks", "intensities")
_UNCOUNTED = bindparam("uncounted", type_=work.c.alone.type)
FINISH = (
    update(work)
    .where(work.c.id == bindparam("work"))
    .values(
        state=bindparam("state"),
        reason=bindparam("reason"),
        detail=bindparam("detail"),
        not_before=bindparam("not_before"),
        attempts=case((_UNCOUNTED, work.c.attempts - 1), else_=work.c.attempts),
        tried_since=case((_UNCOUNTED, None), else_=work.c.tried_since),
        alone=or_(work.c.alone, bindparam("travels_alone", type_=work.c.alone.type)),
        **{name: bindparam(name) for name in _AS_GIVEN},
        scores=bindparam("scores", type_=work.c.scores.type),
        finished_at=bindparam("finished_at", type_=work.c.finished_at.type),
        matched=bindparam("matched", type_=work.c.matched.type),
        batch_id=case((bindparam("state") == State.RECEIVED, None), else_=work.c.batch_id),
        lease_until=None,
    )
)

_KEEP_FACTS = (
    update(instances)
    .where(instances.c.id == bindparam("instance"))
    .values(
        content=bindparam("new_content"),
        **{name: bindparam(f"new_{name}") for name in FACT_NAMES},
    )
)

_KEEP_FACTS_NAMES = ("instance", "new_content", *(f"new_{name}" for name in FACT_NAMES))

_NOT_CLOSED: Mapping[str, Any] = {"seconds": {}, "release": "", "runtime": None}
"""Values that `_can_store` writes to the batch and then rolls back."""

CLOSE_BATCH = (
    update(batches)
    # If the confirmation of a commit was lost, a second call holds no image and would overwrite the counts with zero.
    .where(batches.c.id == bindparam("batch"), batches.c.finished_at.is_(None))
    .values(
        finished_at=bindparam("now"),
        seconds=bindparam("seconds", type_=batches.c.seconds.type),
        outcomes=bindparam("outcomes", type_=batches.c.outcomes.type),
        release=bindparam("release"),
        runtime=bindparam("runtime"),
    )
)
