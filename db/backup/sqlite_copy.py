"""Copy an SQLite database while other processes write to it."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from db.backup.contents import DatabaseContents, read_contents
from db.engine import Database
from nightread.errors import StopWork

_PAGES = 4096
"""Pages of 4 KiB that are copied between two calls of `on_progress`."""


def copy_sqlite(
    database: Database, target: Path, on_progress: Callable[[float], object] = lambda _share: None
) -> DatabaseContents:
    """Write a copy of the database to the new file `target`, which only its owner can read; return its contents.

    The copy is made by SQLite's online backup (https://sqlite.org/backup.html) within one read transaction. It contains
    what was committed when it began. Writers do not wait for it, and their commits do not restart it. The write-ahead
    log grows meanwhile. `on_progress` is called with the share that is done, from 0 to 1.

    Raises FileExistsError, SQLAlchemyError, and StopWork if the database file is damaged.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with database.read() as connection, closing(sqlite3.connect(target)) as copy:
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")  # from here on the snapshot is fixed
        source: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        copy.execute("PRAGMA synchronous=OFF")  # the caller writes the finished file to the disk
        source.backup(copy, pages=_PAGES, progress=lambda _, left, total: on_progress(1 - left / max(total, 1)))
    return inspect_sqlite(target)


def inspect_sqlite(path: Path) -> DatabaseContents:
    """Return the contents of the file of a copy. Raises SQLAlchemyError, and StopWork if the file is damaged."""
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool, hide_parameters=True)
    with engine.connect() as connection:
        # Without a write-ahead log, the copy is one file.
        connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
        if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one() != "ok":
            raise StopWork("The database file is damaged (quick_check): restore an earlier backup.")
        return read_contents(connection)
