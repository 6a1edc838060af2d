"""Which received files are still needed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, func, literal_column, select

from db.engine import Database
from db.ledger.arrivals import uri_key
from db.queries.snapshot import stream
from db.tables import State, instances, work
from nightread.reasons import Fault, Reason

_DEFECTIVE = frozenset(reason.value for reason in Reason if reason.fault is Fault.DEFECTIVE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spooled:
    """A received file and what became of it."""

    image_id: int
    uri: str
    finished_at: datetime | None
    """Of its latest outcome; None while any of its work is unfinished."""
    bad: bool
    """It failed, or is defective: somebody may want to look at it."""

    def is_due(self, *, good_before: datetime, bad_before: datetime) -> bool:
        """Whether it may be removed: its outcome is older than what is kept of its kind."""
        return self.finished_at is not None and self.finished_at < (bad_before if self.bad else good_before)


def spooled_at(database: Database, source_id: int, uris: Sequence[str]) -> list[Spooled]:
    """The arrivals of these places, each found by an index."""
    keys = [uri_key(uri) for uri in uris]
    with database.read() as connection:
        return [_spooled(row) for row in connection.execute(_AT, {"source": source_id, "keys": keys})]


def all_spooled(database: Database, source_id: int) -> Iterator[Spooled]:
    """Every arrival of this source, streamed."""
    with database.read() as connection:
        for row in stream(connection, _OUTCOMES.where(instances.c.source_id == source_id)):
            yield _spooled(row)


def _spooled(row: Row[Any]) -> Spooled:
    return Spooled(
        image_id=row.id,
        uri=row.uri,
        finished_at=None if row.unfinished else row.finished_at,
        bad=row.state == State.FAILED or row.reason in _DEFECTIVE,
    )


_first = work.alias("first")
_OUTCOMES = (
    select(
        instances.c.id,
        instances.c.uri,
        _first.c.state,
        _first.c.reason,
        func.max(work.c.finished_at).label("finished_at"),
        func.count(literal_column("1")).filter(work.c.finished_at.is_(None)).label("unfinished"),
    )
    .join(work, work.c.instance_id == instances.c.id)
    .join(_first, and_(_first.c.instance_id == instances.c.id, _first.c.ordinal == 0))
    .group_by(instances.c.id, instances.c.uri, _first.c.state, _first.c.reason)
)
_AT = _OUTCOMES.where(
    instances.c.source_id == bindparam("source"), instances.c.uri_key.in_(bindparam("keys", expanding=True))
)
