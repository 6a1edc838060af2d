"""Read the heartbeats of all parts, with the times of each host converted to the clock of the database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from sqlalchemy import select

from db.engine import Database
from db.ledger import PartKind
from db.store_tables import heartbeats
from db.tables import workers

PART_KINDS = frozenset(kind.value for kind in PartKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class PartRow:
    """The latest heartbeat of one part."""

    kind: PartKind
    node: str
    started_at: datetime
    first_started_at: datetime
    """First start of a part with this name. In a container, a part has a new name after each start."""
    seen_at: datetime
    ahead: float
    worked_at: datetime | None
    stopped_at: datetime | None
    crashed_at: datetime | None
    detail: Mapping[str, Any]
    draining_at: datetime | None = None

    @property
    def ended_at(self) -> datetime:
        """Return when the part was stopped; if it was not stopped, when it was last seen."""
        return self.stopped_at or self.seen_at

    @property
    def sources(self) -> frozenset[str]:
        """Return the names of the sources that the part serves."""
        return frozenset(self.detail.get("sources", ()))


def part_rows(database: Database) -> Iterator[PartRow]:
    """Yield the latest heartbeat of each part, with its times converted to the clock of the database."""
    with database.read() as connection:
        found = connection.execute(select(heartbeats)).all()
        at_work = connection.execute(select(workers)).all()
    for row in chain(found, at_work):
        known = {str(name): value for name, value in row._mapping.items()}  # noqa: SLF001 - public in SQLAlchemy
        if (part := known.get("part", PartKind.WORKER.value)) not in PART_KINDS:
            continue  # a kind that only a newer release knows
        ahead = timedelta(seconds=row.ahead_seconds)
        yield PartRow(
            kind=PartKind(part),
            node=row.node,
            started_at=row.started_at - ahead,
            first_started_at=(row.first_started_at or row.started_at) - ahead,
            seen_at=row.heartbeat_at - ahead,
            ahead=row.ahead_seconds,
            worked_at=_minus(known.get("worked_at"), ahead),
            stopped_at=_minus(known.get("stopped_at"), ahead),
            crashed_at=_minus(row.crashed_at, ahead),
            detail=known.get("detail") or {},
            draining_at=_minus(known.get("draining_at"), ahead),
        )


def _minus(moment: datetime | None, ahead: timedelta) -> datetime | None:
    return None if moment is None else moment - ahead
