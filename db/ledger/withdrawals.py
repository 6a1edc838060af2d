"""Withdraw images that a key object note rejects, whether they arrived before or after the note."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from db.bulk import execute_many
from db.ledger.upsert import insert_if_absent
from db.ledger.values import Outcome, Withdrawal
from db.store_tables import withdrawals
from db.tables import instances

_CHUNK = 500


def withdraw(connection: Connection, note_id: int, withdrawal: Withdrawal) -> None:
    """Mark the images that the note names, and store the names for images that arrive later."""
    study, code = withdrawal.study_instance_uid, withdrawal.code
    named = list(dict.fromkeys(withdrawal.sop_instance_uids))
    rows = [(study, uid, note_id, code) for uid in named]
    insert_if_absent(connection, withdrawals, ("study_instance_uid", "sop_instance_uid", "note_id", "code"), rows)
    for start in range(0, len(named), _CHUNK):
        uids = named[start : start + _CHUNK]
        connection.execute(_MARK_NAMED, {"uids": uids, "study": study, "note": note_id, "its_code": code})


def apply_pending_withdrawals(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Apply withdrawals that came before their images; of several notes the last one counts.

    Most databases have no note at all; checking that first saves 1 us per image.
    """
    if connection.execute(_ANY).first() is None:
        return
    studies = {outcome.facts.study_instance_uid for outcome in outcomes} - {None}
    uids = {outcome.facts.sop_instance_uid for outcome in outcomes} - {None}
    notes = connection.execute(_NOTES, {"studies": list(studies), "uids": list(uids)})
    named = {(row.study_instance_uid, row.sop_instance_uid): row for row in notes}
    marks = [
        (outcome.instance_id, row.note_id, row.code)
        for outcome in outcomes
        if (row := named.get((outcome.facts.study_instance_uid or "", outcome.facts.sop_instance_uid or "")))
    ]
    execute_many(connection, _MARK, ("instance", "note", "its_code"), marks)


_MARKED: dict[str, Any] = {"withdrawn_by": bindparam("note"), "withdrawn_code": bindparam("its_code")}

_MARK_NAMED = (
    update(instances)
    .where(
        instances.c.sop_instance_uid.in_(bindparam("uids", expanding=True)),
        # As an expression: otherwise SQLite searches the whole study for each UID.
        instances.c.study_instance_uid.concat("") == bindparam("study"),
    )
    .values(**_MARKED)
)

_MARK = update(instances).where(instances.c.id == bindparam("instance")).values(**_MARKED)

_ANY = select(withdrawals.c.note_id).limit(1)

_NOTES = (
    select(withdrawals)
    .where(
        withdrawals.c.study_instance_uid.in_(bindparam("studies", expanding=True)),
        # The UIDs limit the result, because one note may name all 20,000 images of a study.
        withdrawals.c.sop_instance_uid.in_(bindparam("uids", expanding=True)),
    )
    .order_by(withdrawals.c.note_id)
)
