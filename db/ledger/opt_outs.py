"""Keep the list of patients who opted out, and reject their images."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, or_, select

from db.engine import Database
from db.ledger.locks import stop_recording
from db.ledger.upsert import insert_if_absent
from db.ledger.values import Outcome
from db.store_tables import opt_outs
from db.tables import State, audit
from nightread.reasons import Reason


def add_opt_out(
    database: Database,
    patient_keys: Collection[str],
    *,
    number_key: str | None,
    key_id: str,
    actor: str,
    now: datetime,
) -> int:
    """Add the keys of one patient. After the commit, no result of the patient is recorded. Returns the number added.

    If the patient opts out for all issuers, `number_key` is the key of the PatientID without an issuer, and must be one
    of `patient_keys`.
    """

    def transaction(connection: Connection) -> int:
        stop_recording(connection)
        rows = [(key, number_key, key_id, now, actor) for key in sorted(patient_keys)]
        added = insert_if_absent(connection, opt_outs, _COLUMNS, rows)
        if added:
            detail = {"patient_keys": sorted(patient_keys), "any_issuer": number_key is not None}
            connection.execute(insert(audit).values(at=now, actor=actor, action="opt_out.add", detail=detail))
        return added

    return database.write(transaction)


def remove_opt_outs(database: Database, keys: Collection[str], *, actor: str, now: datetime) -> int:
    """Remove these keys, and all keys whose `number_key` is one of them. Returns the number of removed keys."""
    named = or_(opt_outs.c.patient_key.in_(keys), opt_outs.c.number_key.in_(keys))

    def transaction(connection: Connection) -> int:
        removed = list(connection.execute(select(opt_outs.c.patient_key).where(named)).scalars())
        if removed:
            connection.execute(delete(opt_outs).where(named))
            detail = {"patient_keys": sorted(removed)}
            connection.execute(insert(audit).values(at=now, actor=actor, action="opt_out.remove", detail=detail))
        return len(removed)

    return database.write(transaction)


def opted_out_keys(connection: Connection) -> frozenset[str]:
    """Return the keys of all patients who opted out, as part of the caller's transaction."""
    return frozenset(connection.execute(_KEYS).scalars())


def opted_out(work_id: int, instance_id: int) -> Outcome:
    """Return the outcome of an image whose patient opted out; it has no header facts and no hash."""
    return Outcome(
        work_id=work_id,
        instance_id=instance_id,
        state=State.REJECTED,
        reason=Reason.OPTED_OUT,
        detail=Reason.OPTED_OUT.message,
    )


def refuse(outcomes: Sequence[Outcome], keys: frozenset[str]) -> list[Outcome]:
    """Reject the images of patients who opted out after the worker read the list."""
    if not keys:
        return list(outcomes)
    return [
        opted_out(outcome.work_id, outcome.instance_id) if outcome.facts.patient_key in keys else outcome
        for outcome in outcomes
    ]


_COLUMNS = ("patient_key", "number_key", "key_id", "added_at", "actor")
_KEYS = select(opt_outs.c.patient_key)
