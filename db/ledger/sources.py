"""Register sources, and store their reports and markers."""

from datetime import datetime

from sqlalchemy import Connection, or_, select, update

from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.tables import sources


def ensure_source(
    database: Database, *, name: str, kind: str, root: str, now: datetime, trust: str | None = None
) -> int:
    """Return the id of the source with this name. Insert the source if it is new; update its root and trust group."""

    def transaction(connection: Connection) -> int:
        row = {"name": name, "kind": kind, "root": root, "created_at": now, "trust": trust}
        insert_if_absent(connection, sources, tuple(row), [tuple(row.values())])
        differs = or_(sources.c.root != root, sources.c.trust.is_distinct_from(trust))
        connection.execute(update(sources).where(sources.c.name == name, differs).values(root=root, trust=trust))
        return int(connection.execute(select(sources.c.id).where(sources.c.name == name)).scalar_one())

    return database.write(transaction)


def report_source(database: Database, source_id: int, report: dict[str, object], *, now: datetime) -> None:
    """Store the counts of a watcher's latest scan of its folder, so that `nightread status` can show them."""
    statement = update(sources).where(sources.c.id == source_id).values(report=report, reported_at=now)
    database.write(lambda connection: connection.execute(statement))


def mark_source(database: Database, source_id: int) -> None:
    """Store that the source's folder has nightread.paths.ROOT_MARKER; without it the folder counts as unavailable."""
    statement = update(sources).where(sources.c.id == source_id).values(marked=True)
    database.write(lambda connection: connection.execute(statement))


def is_marked(database: Database, source_id: int) -> bool:
    """Return whether the marker was ever seen in the source's folder."""
    with database.read() as connection:
        return bool(connection.execute(select(sources.c.marked).where(sources.c.id == source_id)).scalar())
