"""Write conflicts between sources to the audit table and to the log."""

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert

from db.ledger.values import Conflict
from db.tables import audit

ACTOR = "nightread"
_CHUNK = 1000
_EVENTS = {
    "version": "an image came from several sources that do not trust each other: all of its results stay current",
    "withdrawal": "a key object note rejects images of a source that does not trust it: these images stay current",
}


def write_audit(connection: Connection, conflicts: Sequence[Conflict], now: datetime) -> None:
    """Write each conflict to `audit`, up to 1,000 in one row: kind, image id, and id of the other version or note."""
    for start in range(0, len(conflicts), _CHUNK):
        detail = {"conflicts": [[c.kind, c.image_id, c.other_id] for c in conflicts[start : start + _CHUNK]]}
        connection.execute(insert(audit).values(at=now, actor=ACTOR, action="images.conflict", detail=detail))


def log_conflicts(log: logging.Logger, conflicts: Sequence[Conflict], batch_id: str) -> None:
    """Log one line per batch and kind of conflict, with the ids of the first conflict. Call this after the commit."""
    for kind, event in _EVENTS.items():
        found = [conflict for conflict in conflicts if conflict.kind == kind]
        if found:
            first = {"image": found[0].image_id, "other": found[0].other_id}
            log.warning(event, extra={"batch": batch_id, "conflicts": len(found), **first})
