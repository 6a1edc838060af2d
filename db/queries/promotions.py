"""Find out which model another one replaced, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from db.engine import Database
from db.tables import audit


@dataclass(frozen=True, kw_only=True, slots=True)
class Promotion:
    """One replacement of a model by another in all its rules."""

    at: datetime
    actor: str
    old: str
    """NAME@VERSION of the model that was replaced."""
    old_digest: str
    comparison: Mapping[str, Any]
    """The figures of the comparison that justified the promotion."""


def last_promotion(database: Database, new: str) -> Promotion | None:
    """Return the latest promotion of the model `NAME@VERSION`; None if it was never promoted."""
    statement = select(audit).where(audit.c.action == "route.replace").order_by(audit.c.id.desc())
    with database.read() as connection:
        for row in connection.execute(statement):
            because = row.detail.get("because") or {}
            if because.get("promoted") == new:
                return Promotion(
                    at=row.at,
                    actor=row.actor,
                    old=because["replaced"],
                    old_digest=because["replaced_digest"],
                    comparison=because["comparison"],
                )
    return None
