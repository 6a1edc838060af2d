"""Apply what a sidecar, archive or header says about other images, in the same transaction as its own outcome."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from db.ledger.arrivals import register_members
from db.ledger.expected import expect_within
from db.ledger.values import Annotations, Conflict, Expected, Members, Outcome, ReportedBy
from db.ledger.withdrawals import apply_pending_withdrawals, withdraw
from db.tables import FINAL, instances, work
from nightread.sources import OverwritePolicy


def apply_annotations(
    connection: Connection, outcomes: Sequence[Outcome], copied: Sequence[int], policy: OverwritePolicy, now: datetime
) -> list[Conflict]:
    """Apply the annotations of final outcomes: register members, store expected numbers, withdraw images.

    `copied` are images whose bytes arrived again from another source, sender or archive. Returns the new conflicts
    about withdrawals.
    """
    final = [outcome for outcome in outcomes if outcome.state in FINAL]
    annotated = [(outcome, outcome.annotations) for outcome in final if outcome.annotations]
    if any(annotations.counts for _, annotations in annotated):
        _expect(connection, annotated, now)
    conflicts: list[Conflict] = []
    for outcome, annotations in annotated:
        if annotations.members:
            _add_members(connection, outcome, annotations.members, now)
        if annotations.withdrawal:
            conflicts += withdraw(connection, outcome.instance_id, annotations.withdrawal, policy)
    return conflicts + apply_pending_withdrawals(connection, [*(o.instance_id for o in final), *copied], policy)


def _expect(connection: Connection, annotated: Sequence[tuple[Outcome, Annotations]], now: datetime) -> None:
    """Store the highest expected number of each study.

    A header may have a lower number, because it was written before images were added to the study.
    """
    ids = [outcome.instance_id for outcome, _ in annotated]
    sources = {row.id: row.source_id for row in connection.execute(_SOURCES, {"instances": ids})}
    highest: dict[tuple[str, int, ReportedBy], int] = {}
    for outcome, annotations in annotated:
        for study, images in annotations.counts.items():
            key = study, sources[outcome.instance_id], annotations.reported_by
            highest[key] = max(images, highest.get(key, 0))
    rows = [
        Expected(study_instance_uid=study, source_id=source_id, reported_by=reported_by, images=images)
        for (study, source_id, reported_by), images in highest.items()
    ]
    expect_within(connection, rows, now=now)


def _add_members(connection: Connection, outcome: Outcome, members: Members, now: datetime) -> None:
    register_members(
        connection,
        source_id=members.source_id,
        parent_id=outcome.instance_id,
        arrivals=members.arrivals,
        priority=connection.execute(_PRIORITY, {"work": outcome.work_id}).scalar_one(),
        now=now,
    )


_SOURCES = select(instances.c.id, instances.c.source_id).where(
    instances.c.id.in_(bindparam("instances", expanding=True))
)
_PRIORITY = select(work.c.priority).where(work.c.id == bindparam("work"))
