"""Create SQLite databases for tests, as copies of one template that has the newest schema; downgrade schemas."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from alembic import command
from sqlalchemy import event

from db.engine import Database, open_database
from db.migrate import alembic_config
from nightread.thread_group import THREAD_NAME

_THREADS_END_SECONDS = 60

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
        wait_for_thread_groups()


def wait_for_thread_groups() -> None:
    """Wait for threads that have outlived the end of their group, so that none of them uses a closed database.

    These are the threads of this whole process: a test may not close one database while a group uses another.
    """
    give_up_at = time.monotonic() + _THREADS_END_SECONDS
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(max(0.0, give_up_at - time.monotonic()))
            assert not thread.is_alive(), f"a thread of a group has not ended within {_THREADS_END_SECONDS} s"


def downgrade(database: Database, revision: str = "base") -> None:
    """Downgrade the schema in one transaction."""
    database.write(lambda connection: command.downgrade(alembic_config(connection), revision))
