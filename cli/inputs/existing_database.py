"""The record, opened for reading by a person: missing or out of date is said in one line."""

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


@contextmanager
def open_existing_database(settings: Settings) -> Iterator[Database]:
    """The database with the schema of this release. Raises UsageFault where there is none, StopWork where it is not."""
    require_database_file(settings)
    database = open_database(settings.sql_url)
    try:
        with one_line_errors():
            schema.require_newest(database)
        yield database
    finally:
        database.close()


def require_database_file(settings: Settings) -> None:
    """Raise UsageFault if the SQLite file is not there: merely connecting would make an empty one."""
    url = make_url(settings.sql_url)
    if url.get_backend_name() != "sqlite" or Path(url.database or "").is_file():
        return
    if settings.database_url is not None:
        raise UsageFault(f"There is no database at {url.database}: `nightread db upgrade` makes it.")
    if settings.state_dir.name in set(State):
        raise UsageFault(
            f"--state names the folder of the record; images by state: --in-state {settings.state_dir.name}."
        )
    raise UsageFault(
        f"There is no nightread database in {settings.state_dir}: name the right folder with --state, "
        "or start with `nightread run PATH` or `nightread up --inbox FOLDER`."
    )


@contextmanager
def one_line_errors() -> Iterator[None]:
    """A database that does not answer becomes StopWork; the driver's text may hold the password and stays out."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StopWork(f"The database does not answer: {error_messages.describe(error)}.") from error
