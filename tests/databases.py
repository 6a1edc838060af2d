"""Create SQLite databases for tests, as copies of one template that has the newest schema; downgrade schemas."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from alembic import command
from sqlalchemy import event

from db.engine import Database, open_database
from db.migrate import alembic_config

NewSqlite = Callable[..., AbstractContextManager[Database]]
"""The type of the fixture `new_sqlite`, which has the parameters of `sqlite_copy` without the template."""


@contextmanager
def sqlite_copy(
    template: Path, path: Path, *, durable: bool = False, busy_milliseconds: int | None = None
) -> Iterator[Database]:
    """Copy the template to `path` and open it. `busy_milliseconds` is how long a connection waits for a lock."""
    shutil.copy(template, path)
    with closing(open_database(f"sqlite:///{path}", durable=durable)) as database:
        if busy_milliseconds is not None:
            pragma = f"PRAGMA busy_timeout={busy_milliseconds}"
            for engine in (database.writer, database.reader):
                event.listen(engine, "connect", lambda connection, _: connection.execute(pragma))
        yield database


def downgrade(database: Database, revision: str = "base") -> None:
    """Downgrade the schema in one transaction."""
    database.write(lambda connection: command.downgrade(alembic_config(connection), revision))
