"""Open an existing database for a command; if it is missing or outdated, raise an error of one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from db import error_messages, schema
from db.engine import Database, open_database
from db.tables import State
from nightread.errors import StopWork, UsageFault
from nightread.settings import Settings

ANSWER_SECONDS = 30.0
"""Time limit of statements in commands that show the present condition, because the database may hang."""


@contextmanager
def open_existing_database(settings: Settings, *, answer_seconds: float | None = None) -> Iterator[Database]:
    """Open the database; `answer_seconds` is passed to db.engine.open_database.

    Raises UsageFault if there is no database, StopWork if its schema is not the schema of this release.
    """
    require_database_file(settings)
    database = open_database(settings.sql_url, answer_seconds=answer_seconds)
    try:
        with one_line_errors():
            schema.require_newest(database)
        yield database
    finally:
        database.close()


def require_database_file(settings: Settings) -> None:
    """Raise UsageFault if the SQLite file does not exist, because connecting would create an empty one."""
    url = make_url(settings.sql_url)
    if url.get_backend_name() != "sqlite" or Path(url.database or "").is_file():
        return
    if settings.database_url is not None:
        raise UsageFault(f"There is no database at {url.database}. Create it with `nightread db upgrade`.")
    if settings.state_dir.name in set(State):
        raise UsageFault(
            f"--state is the folder of the database. To select images by state: --in-state {settings.state_dir.name}."
        )
    raise UsageFault(
        f"There is no nightread database in {settings.state_dir}. Name the right folder with --state, "
        "or create one with `nightread run PATH` or `nightread up --inbox FOLDER`."
    )


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a database error into StopWork with one line, without the driver's text, which may contain the password."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StopWork(f"The database is unavailable: {error_messages.describe(error)}.") from error
