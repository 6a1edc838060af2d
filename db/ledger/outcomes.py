"""Record: the outcomes of a batch, in one transaction, for the rows that are still ours."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Row, bindparam, insert, select, update
from sqlalchemy.exc import DataError, IntegrityError

from db.engine import Database
from db.ledger.identity import settle_duplicates, supersede
from db.ledger.upsert import insert_if_absent
from db.tables import FINAL, State, batches, bundles, contents, instances, predictions, work
from imaging.facts import FACT_NAMES, NO_FACTS, Facts
from nightread.reasons import Reason

log = logging.getLogger(__name__)

_UNSTORABLE = (DataError, IntegrityError, OverflowError, UnicodeError)


@dataclass(frozen=True, kw_only=True, slots=True)
class FramePrediction:
    """The network's answer for one frame."""

    frame: int
    label: str | None
    score: float
    scores: list[float]
    """In the order of the bundle's labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one image. `received` means: try again, not before `not_before`."""

    work_id: int
    instance_id: int
    state: State
    first: bool = True
    reason: Reason | None = None
    detail: str | None = None
    not_before: datetime | None = None
    sha256: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    """Of the bytes that were read."""
    facts: Facts = NO_FACTS
    duplicate_of: int | None = None
    bundle_id: int | None = None
    label: str | None = None
    score: float | None = None
    scores: list[float] | None = None
    frames: tuple[FramePrediction, ...] = ()


def record(
    database: Database,
    batch_id: str,
    outcomes: Sequence[Outcome],
    *,
    seconds: dict[str, float],
    release: str,
    now: datetime,
) -> Counter[str]:
    """Write outcomes, facts and predictions of the rows that this batch still holds, and close the batch.

    Rows that were taken back meanwhile are left alone: their new owner speaks for them. A value that the database
    refuses costs its own row (`failed(unstorable)`), not the batch. Returns the number of images by state.
    """

    def in_bulk(connection: Connection) -> Counter[str]:
        return _record(connection, batch_id, outcomes, seconds, release, now)

    def one_by_one(connection: Connection) -> Counter[str]:
        storable = [outcome for outcome in outcomes if _can_store(connection, batch_id, outcome, now)]
        refused = [_refused(outcome) for outcome in outcomes if outcome not in storable]
        return _record(connection, batch_id, storable + refused, seconds, release, now)

    try:
        return database.write(in_bulk)
    except _UNSTORABLE:
        log.warning("the database refused a value: recording row by row", extra={"batch": batch_id})
        return database.write(one_by_one)


def known_contents(database: Database, hashes: Iterable[str]) -> dict[str, int]:
    """SHA-256 -> instance id of contents that are done already."""
    with database.read() as connection:
        rows = connection.execute(_KNOWN_CONTENTS, {"hashes": list(hashes)})
        return {row.sha256: row.instance_id for row in rows}


def register_bundle(
    database: Database,
    *,
    name: str,
    version: str,
    digest: str,
    labels: Sequence[str],
    normal_label: str | None,
    now: datetime,
) -> int:
    """The id of the bundle of this digest, made if it is new."""
    row = {
        "name": name,
        "version": version,
        "digest": digest,
        "labels": list(labels),
        "normal_label": normal_label,
        "registered_at": now,
    }

    def transaction(connection: Connection) -> int:
        insert_if_absent(connection, bundles, [row])
        return int(connection.execute(select(bundles.c.id).where(bundles.c.digest == digest)).scalar_one())

    return database.write(transaction)


def _record(
    connection: Connection,
    batch_id: str,
    outcomes: Sequence[Outcome],
    seconds: dict[str, float],
    release: str,
    now: datetime,
) -> Counter[str]:
    held = {row.id: row for row in connection.execute(_HELD, {"batch": batch_id})}
    ours = [_unless_changed(outcome, held[outcome.work_id]) for outcome in outcomes if outcome.work_id in held]
    ours = settle_duplicates(connection, ours)
    _write(connection, ours, now)
    supersede(connection, ours)
    counts = Counter(outcome.state.value for outcome in ours)
    closing = {"batch": batch_id, "now": now, "seconds": seconds, "outcomes": dict(counts), "release": release}
    connection.execute(_CLOSE, closing)
    return counts


def _unless_changed(outcome: Outcome, held: Row[int, int, int]) -> Outcome:
    """An outcome of bytes that the ledger no longer lists (the file was replaced meanwhile) is not the arrival's."""
    if outcome.size is None or (outcome.size, outcome.mtime_ns) == (held.size, held.mtime_ns):
        return outcome
    return Outcome(
        work_id=outcome.work_id,
        instance_id=outcome.instance_id,
        state=State.RECEIVED,
        reason=Reason.STILL_CHANGING,
        detail="The file was replaced while it was analysed.",
    )


def _write(connection: Connection, ours: Sequence[Outcome], now: datetime) -> None:
    if not ours:
        return
    connection.execute(_FINISH, [_work_row(outcome, now) for outcome in ours])
    if kept := [_facts_row(outcome) for outcome in ours if outcome.sha256 is not None]:
        connection.execute(_KEEP_FACTS, kept)
    done = (outcome for outcome in ours if outcome.state is State.DONE)
    if rows := [
        {
            "work_id": outcome.work_id,
            "frame": frame.frame,
            "label": frame.label,
            "score": frame.score,
            "scores": frame.scores,
        }
        for outcome in done
        for frame in outcome.frames
    ]:
        connection.execute(_PREDICT, rows)


def _work_row(outcome: Outcome, now: datetime) -> dict[str, object]:
    return {
        "work": outcome.work_id,
        "state": outcome.state.value,
        "reason": outcome.reason.value if outcome.reason else None,
        "detail": outcome.detail,
        "not_before": outcome.not_before,
        "duplicate_of": outcome.duplicate_of,
        "bundle_id": outcome.bundle_id,
        "label": outcome.label,
        "score": outcome.score,
        "scores": outcome.scores,
        "finished_at": now if outcome.state in FINAL else None,
    }


def _facts_row(outcome: Outcome) -> dict[str, object]:
    return {
        "instance": outcome.instance_id,
        "new_sha256": outcome.sha256,
        **{f"new_{name}": getattr(outcome.facts, name) for name in FACT_NAMES},
    }


def _can_store(connection: Connection, batch_id: str, outcome: Outcome, now: datetime) -> bool:
    savepoint = connection.begin_nested()
    try:
        _record(connection, batch_id, [outcome], {}, "", now)
    except _UNSTORABLE as error:
        extra = {"image": outcome.instance_id, "error": type(error).__name__}
        log.warning("the database refused the values of an image", extra=extra)
        return False
    finally:
        savepoint.rollback()
    return True


def _refused(outcome: Outcome) -> Outcome:
    return replace(
        Outcome(work_id=outcome.work_id, instance_id=outcome.instance_id, state=State.FAILED),
        reason=Reason.UNSTORABLE,
        detail=Reason.UNSTORABLE.sentence,
    )


_HELD = (
    select(work.c.id, instances.c.size, instances.c.mtime_ns)
    .join(instances, instances.c.id == work.c.instance_id)
    .where(work.c.batch_id == bindparam("batch"), work.c.state == State.RUNNING)
    .order_by(work.c.id)
    .with_for_update(of=work)
)

_FINISH = (
    update(work)
    .where(work.c.id == bindparam("work"))
    .values(
        state=bindparam("state"),
        reason=bindparam("reason"),
        detail=bindparam("detail"),
        not_before=bindparam("not_before"),
        duplicate_of=bindparam("duplicate_of"),
        bundle_id=bindparam("bundle_id"),
        label=bindparam("label"),
        score=bindparam("score"),
        scores=bindparam("scores", type_=work.c.scores.type),
        finished_at=bindparam("finished_at", type_=work.c.finished_at.type),
        lease_until=None,
    )
)

_KEEP_FACTS = (
    update(instances)
    .where(instances.c.id == bindparam("instance"))
    .values(sha256=bindparam("new_sha256"), **{name: bindparam(f"new_{name}") for name in FACT_NAMES})
)

_PREDICT = insert(predictions)

_CLOSE = (
    update(batches)
    .where(batches.c.id == bindparam("batch"))
    .values(
        finished_at=bindparam("now"),
        seconds=bindparam("seconds", type_=batches.c.seconds.type),
        outcomes=bindparam("outcomes", type_=batches.c.outcomes.type),
        release=bindparam("release"),
    )
)

_KNOWN_CONTENTS = (
    select(contents.c.sha256, work.c.instance_id)
    .join(work, work.c.id == contents.c.work_id)
    .where(contents.c.sha256.in_(bindparam("hashes", expanding=True)))
)
