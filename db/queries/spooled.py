"""Find out which received or unpacked files are still needed."""

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
    """A file of the spool and the outcome of its image."""

    image_id: int
    uri: str
    finished_at: datetime | None
    """Time of the latest outcome; None while any row of work is unfinished."""
    bad: bool
    """True if the image failed or is defective, so that a person may want to inspect it."""

    def is_due(self, *, good_before: datetime, bad_before: datetime) -> bool:
        """Return whether the file may be removed, because its outcome is older than the limit for its kind."""
        return self.finished_at is not None and self.finished_at < (bad_before if self.bad else good_before)


def spooled_at(database: Database, source_id: int, uris: Sequence[str]) -> list[Spooled]:
    """Return the arrivals at these places, each found by an index."""
    keys = [uri_key(uri) for uri in uris]
    with database.read() as connection:
        return [_spooled(row) for row in connection.execute(_AT, {"source": source_id, "keys": keys})]


def all_spooled(database: Database, source_id: int) -> Iterator[Spooled]:
    """Stream every arrival of this source."""
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
