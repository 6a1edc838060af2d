"""List sources, and look up their arrivals by place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from db.engine import Database
from db.ledger.arrivals import uri_key
from db.queries.snapshot import stream
from db.tables import instances
from db.tables import sources as sources_table


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One source, as stored in the database."""

    id: int
    name: str
    kind: str
    root: str
    report: dict[str, Any] | None
    """Latest report of the part that serves the source, such as counts of a scan (producer.folders.report)."""
    reported_at: datetime | None
    marked: bool
    """True if `nightread.paths.ROOT_MARKER` was once in the folder; without it the folder counts as unavailable."""


def sources(database: Database) -> list[Source]:
    """List all sources, oldest first."""
    with database.read() as connection:
        rows = connection.execute(select(sources_table).order_by(sources_table.c.id)).all()
    return [
        Source(
            id=row.id,
            name=row.name,
            kind=row.kind,
            root=row.root,
            report=row.report,
            reported_at=row.reported_at,
            marked=row.marked,
        )
        for row in rows
    ]


def missing_from_ledger(database: Database, source_id: int, uris: Sequence[str]) -> list[str]:
    """Return the `uris` for which this source has no arrival."""
    keys = [uri_key(uri) for uri in uris]
    with database.read() as connection:
        known = set(connection.execute(_KNOWN, {"source": source_id, "keys": keys}).scalars())
    return [uri for uri, key in zip(uris, keys, strict=True) if key not in known]


def uris_of(database: Database, source_id: int) -> Iterator[tuple[int, str]]:
    """Stream (image id, uri) of every arrival of this source that was not purged."""
    statement = select(instances.c.id, instances.c.uri).where(
        instances.c.source_id == source_id, instances.c.purged_at.is_(None)
    )
    with database.read() as connection:
        for row in stream(connection, statement):
            yield row.id, row.uri


_KNOWN = select(instances.c.uri_key).where(
    instances.c.source_id == bindparam("source"), instances.c.uri_key.in_(bindparam("keys", expanding=True))
)
