"""Give images further rows of work for other bundles when a person asks for a re-run, and record their outcomes.

A row of a re-run takes the usual steps: `received`, batch, claim, lease, outcome. It has its bundle from the start, an
ordinal above 0, and the priority RERUN, so that arrivals go first. The first row of the image never changes.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, or_, select, update

from db.bulk import write_rows
from db.engine import Database
from db.ledger.bundles import RegisteredBundle, registered_bundles
from db.ledger.locks import begin_recording, lock_other_images, stop_recording
from db.ledger.occurrences import note_occurrences
from db.ledger.opt_outs import opted_out_keys, refuse
from db.ledger.outbox import RERUN
from db.ledger.outcomes import CLOSE_BATCH, FINISH, FINISH_NAMES, work_row
from db.ledger.predictions import insert_predictions
from db.ledger.refused_values import REFUSALS, is_refused_value, unstorable
from db.ledger.series import note_slices
from db.ledger.values import Outcome
from db.tables import IN_BATCH, UNFINISHED, State, audit, in_state, instances, work
from nightread.reasons import Reason

_IMAGES_AT_ONCE = 1000
UNTAKEN = (Reason.NO_MODEL, Reason.OUT_OF_DOMAIN)
"""If an image was rejected for one of these reasons, another bundle may still analyse it."""
_CHANGED = "The file has other bytes than at its first analysis."


@dataclass(frozen=True, kw_only=True, slots=True)
class RerunPlan:
    """Numbers of rows of work; each row is one image with one bundle."""

    added: int = 0
    """Rows that are new."""
    again: int = 0
    """Rows that had failed and wait again."""
    waiting: int = 0
    """Rows of an earlier re-run that are unfinished."""
    present: int = 0
    """Rows that are done or rejected."""

    def __add__(self, other: "RerunPlan") -> "RerunPlan":
        return RerunPlan(
            added=self.added + other.added,
            again=self.again + other.again,
            waiting=self.waiting + other.waiting,
            present=self.present + other.present,
        )

    @property
    def unfinished(self) -> int:
        """Return the number of rows that a worker must still analyse."""
        return self.added + self.again + self.waiting


def plan_rerun(
    database: Database, image_ids: Sequence[int], bundle_ids: Sequence[int], *, shadow: bool, actor: str, now: datetime
) -> RerunPlan:
    """Insert the missing row of work for each image and bundle, and make failed rows `received` again.

    A repeated call changes nothing. Purged images are left out. Images whose first row has no result are left out too,
    except rejected images with a reason in UNTAKEN. Each 1,000 images are one transaction with a row of `audit`.
    """
    chunks = (image_ids[begin : begin + _IMAGES_AT_ONCE] for begin in range(0, len(image_ids), _IMAGES_AT_ONCE))
    return sum((_plan_some(database, ids, bundle_ids, shadow, actor, now) for ids in chunks), RerunPlan())


def preview_rerun(database: Database, image_ids: Sequence[int], bundle_ids: Sequence[int]) -> RerunPlan:
    """Return what `plan_rerun` would do, and change nothing."""
    total = RerunPlan()
    with database.read() as connection:
        for begin in range(0, len(image_ids), _IMAGES_AT_ONCE):
            rows = connection.execute(_KNOWN, {"images": image_ids[begin : begin + _IMAGES_AT_ONCE]}).all()
            total += _Missing.of(rows, bundle_ids).plan
    return total


def record_rerun(
    database: Database,
    batch_id: str,
    outcomes: Sequence[Outcome],
    *,
    seconds: dict[str, float],
    release: str,
    runtime: str | None = None,
    now: datetime,
) -> Counter[str]:
    """Write the outcomes of the rows that this batch still holds, and close the batch. Returns their number by state.

    Facts, contents and versions of the images stay as they are. Only a missing geometry of slices is added, and their
    series are formed again. A row fails if its file has other bytes than at the first analysis. If a crash of the
    database's server undoes the commit, the rows are analysed again.
    """
    closing = {"seconds": seconds, "release": release, "runtime": runtime, "batch": batch_id, "now": now}

    def in_bulk(connection: Connection) -> Counter[str]:
        return _record(connection, batch_id, outcomes, closing)

    def one_by_one(connection: Connection) -> Counter[str]:
        storable = [o if _can_store(connection, batch_id, o, closing) else unstorable(o) for o in outcomes]
        return _record(connection, batch_id, storable, closing)

    try:
        return database.write_bulk(in_bulk, wait_for_disk=False)
    except REFUSALS as error:
        if not is_refused_value(error):
            raise
    return database.write(one_by_one)


@dataclass(frozen=True, kw_only=True)
class _Missing:
    """The rows that a re-run must insert or analyse again for a chunk of images."""

    new: list[tuple[int, int, int]]
    """Image, ordinal and bundle of each row to insert into `work`. The rows that belong to the same image are next to
    each other."""
    failed: list[tuple[int, int]]
    """Image and id of each row to analyse again."""
    plan: RerunPlan

    @classmethod
    def of(cls, rows: Sequence[Any], bundle_ids: Sequence[int]) -> "_Missing":
        """Find the rows that must be inserted or analysed again; `rows` are the rows of work that `_KNOWN` returns."""
        by_image: defaultdict[int, list[Any]] = defaultdict(list)
        for row in rows:
            by_image[row.instance_id].append(row)
        new: list[tuple[int, int, int]] = []
        failed: list[tuple[int, int]] = []
        counts: Counter[str] = Counter()
        for image_id, of_image in by_image.items():
            if not can_be_analysed(of_image[0].state, of_image[0].reason):
                continue
            ordinal = of_image[-1].ordinal
            for bundle_id in bundle_ids:
                found = _state_of(of_image, bundle_id)
                if found is None:
                    ordinal += 1
                    new.append((image_id, ordinal, bundle_id))
                elif isinstance(found, int):
                    failed.append((image_id, found))
                else:
                    counts[found] += 1
        plan = RerunPlan(added=len(new), again=len(failed), **counts)
        return cls(new=new, failed=failed, plan=plan)


def can_be_analysed(state: str, reason: str | None) -> bool:
    """Return whether another bundle can analyse an image; `state` and `reason` are those of its first row."""
    return state == State.DONE or (state == State.REJECTED and reason in UNTAKEN)


def _state_of(rows: Sequence[Any], bundle_id: int) -> int | str | None:
    """Return what an image has of a bundle: `present`, `waiting`, the id of a failed further row, or None."""
    own = [row for row in rows if row.bundle_id == bundle_id]
    if any(row.state in (State.DONE, State.REJECTED) for row in own):
        return "present"
    further = [row for row in own if row.ordinal > 0]
    if any(row.state in UNFINISHED for row in further):
        return "waiting"
    return int(further[-1].id) if further else None


def _plan_some(
    database: Database, image_ids: Sequence[int], bundle_ids: Sequence[int], shadow: bool, actor: str, now: datetime
) -> RerunPlan:
    def transaction(connection: Connection) -> RerunPlan:
        stop_recording(connection)  # recording inserts further rows as well, with the next free ordinal
        missing = _Missing.of(connection.execute(_KNOWN, {"images": image_ids}).all(), bundle_ids)
        rows = [
            (image_id, ordinal, bundle_id, State.RECEIVED.value, 0, 0, 0, RERUN, False, shadow)
            for image_id, ordinal, bundle_id in missing.new
        ]
        write_rows(connection, insert(work), _NEW_NAMES, rows)
        note_occurrences(connection, [_waiting(image_id, bundle_id) for image_id, _, bundle_id in missing.new])
        write_rows(connection, _AGAIN, ("row", "is_shadow"), [(work_id, shadow) for _, work_id in missing.failed])
        if missing.new or missing.failed:
            images = sorted({row[0] for row in (*missing.new, *missing.failed)})
            detail = {"images": images, "bundles": list(bundle_ids), "shadow": shadow}
            entry = {"at": now, "actor": actor, "action": "images.rerun"}
            connection.execute(insert(audit).values(**entry, detail={**detail, "again": len(missing.failed)}))
        return missing.plan

    return database.write(transaction)


def _waiting(image_id: int, bundle_id: int) -> Outcome:
    return Outcome(work_id=0, instance_id=image_id, state=State.RECEIVED, bundle_id=bundle_id)


def _record(
    connection: Connection, batch_id: str, outcomes: Sequence[Outcome], closing: Mapping[str, Any]
) -> Counter[str]:
    begin_recording(connection)
    held: dict[int, Any] = {row.id: row for row in connection.execute(_HELD, {"batch": batch_id}).all()}
    known = [_settled(outcome, held[outcome.work_id]) for outcome in outcomes if outcome.work_id in held]
    kept = [
        outcome._replace(bundle_id=held[outcome.work_id].bundle_id)
        for outcome in refuse(known, opted_out_keys(connection))
    ]
    bundles = registered_bundles(connection, kept)
    now = closing["now"]
    write_rows(connection, FINISH, FINISH_NAMES, [work_row(outcome, bundles, now) for outcome in kept])
    insert_predictions(connection, [(o.work_id, frame) for o in kept if o.state is State.DONE for frame in o.frames])
    _note_series(connection, kept, bundles, now)
    counts = Counter(outcome.state.value for outcome in kept)
    connection.execute(CLOSE_BATCH, {**closing, "outcomes": dict(counts)})
    return counts


def _note_series(
    connection: Connection, kept: Sequence[Outcome], bundles: Mapping[int, RegisteredBundle], now: datetime
) -> None:
    """Mark the series as collecting if bundles of unit `series` analysed slices, and store the slices' geometry."""
    slices = [outcome for outcome in kept if outcome.bundle_id is not None and bundles[outcome.bundle_id].of_series]
    if slices:
        placed = [(each.instance_id, each.facts.geometry) for each in slices if each.facts.geometry is not None]
        write_rows(connection, _KEEP_GEOMETRY, ("instance", "new_geometry"), placed)
        lock_other_images(connection)
        note_slices(connection, slices, bundles, frozenset(), now)


def _settled(outcome: Outcome, held: Row[Any]) -> Outcome:
    """Return the outcome, or a failure if the file has other bytes than at the first analysis, or is no image."""
    is_image = outcome.state in _OF_IMAGES
    if is_image and (outcome.content is None or held.content is None or outcome.content == held.content):
        return outcome
    return Outcome(
        work_id=outcome.work_id,
        instance_id=outcome.instance_id,
        state=State.FAILED,
        reason=Reason.STILL_CHANGING,
        detail=_CHANGED,
    )


def _can_store(connection: Connection, batch_id: str, outcome: Outcome, closing: Mapping[str, Any]) -> bool:
    savepoint = connection.begin_nested()
    try:
        _record(connection, batch_id, [outcome], closing)
    except REFUSALS as error:
        if not is_refused_value(error):
            raise
        return False
    finally:
        savepoint.rollback()
    return True


_OF_IMAGES = (State.RECEIVED, State.DONE, State.REJECTED, State.FAILED)
_NEW_NAMES = (
    *("instance_id", "ordinal", "bundle_id", "state", "attempts", "deaths", "expiries"),
    *("priority", "alone", "shadow"),
)
_KNOWN = (
    select(work.c.instance_id, work.c.ordinal, work.c.id, work.c.bundle_id, work.c.state, work.c.reason)
    .join(instances, instances.c.id == work.c.instance_id)
    .where(work.c.instance_id.in_(bindparam("images", expanding=True)), instances.c.purged_at.is_(None))
    .order_by(work.c.instance_id, work.c.ordinal)
)
_AGAIN = (
    update(work)
    .where(work.c.id == bindparam("row"))
    .values(
        state=State.RECEIVED,
        batch_id=None,
        attempts=0,
        deaths=0,
        expiries=0,
        not_before=None,
        tried_since=None,
        priority=RERUN,
        alone=or_(work.c.alone, work.c.reason == Reason.KILLED_WORKER.value),
        reason=None,
        detail=None,
        finished_at=None,
        route_id=None,
        matched=None,
        shadow=bindparam("is_shadow", type_=work.c.shadow.type),
    )
)
_KEEP_GEOMETRY = (
    update(instances)
    .where(instances.c.id == bindparam("instance"), instances.c.geometry.is_(None))
    .values(geometry=bindparam("new_geometry"))
)
_HELD = (
    select(work.c.id, work.c.bundle_id, instances.c.content)
    .join(instances, instances.c.id == work.c.instance_id)
    .where(work.c.batch_id == bindparam("batch"), IN_BATCH, in_state(State.RUNNING), work.c.ordinal > 0)
    .order_by(work.c.id)
    .with_for_update(of=work)
)
