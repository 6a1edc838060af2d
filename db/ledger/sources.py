"""Where arrivals come from."""

from datetime import datetime

from sqlalchemy import Connection, select, update

from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.tables import sources


def ensure_source(database: Database, *, name: str, kind: str, root: str, now: datetime) -> int:
    """The id of the source of this name, made if it is new; its root is brought up to date."""

    def transaction(connection: Connection) -> int:
        row = {"name": name, "kind": kind, "root": root, "created_at": now}
        insert_if_absent(connection, sources, tuple(row), [tuple(row.values())])
        connection.execute(update(sources).where(sources.c.name == name, sources.c.root != root).values(root=root))
        return int(connection.execute(select(sources.c.id).where(sources.c.name == name)).scalar_one())

    return database.write(transaction)


def report_source(database: Database, source_id: int, report: dict[str, object], *, now: datetime) -> None:
    """Keep the numbers of a watcher's latest look, for `status`, which is another process."""
    statement = update(sources).where(sources.c.id == source_id).values(report=report, reported_at=now)
    database.write(lambda connection: connection.execute(statement))


def mark_source(database: Database, source_id: int) -> None:
    """Its folder was seen with nightread.paths.ROOT_MARKER in it: without the marker it counts as away from now on."""
    statement = update(sources).where(sources.c.id == source_id).values(marked=True)
    database.write(lambda connection: connection.execute(statement))


def is_marked(database: Database, source_id: int) -> bool:
    """Whether its folder was ever seen with the marker."""
    with database.read() as connection:
        return bool(connection.execute(select(sources.c.marked).where(sources.c.id == source_id)).scalar())
