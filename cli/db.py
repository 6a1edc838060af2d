"""Define `nightread db`: create or upgrade the database schema."""

from typing import Any

import click

from cli.embedded.state_folder import make_state_folder
from cli.inputs.existing_database import one_line_errors
from cli.inputs.options import settings_from, state_options
from cli.output.console import out
from db import schema
from db.engine import open_database


@click.group("db")
def db_command() -> None:
    """Manage the database schema."""


@db_command.command("upgrade")
@state_options
def upgrade_command(**options: Any) -> None:
    """Create the tables or upgrade them to the newest version; an up-to-date database does not change.

    Example: nightread db upgrade --database-url postgresql://nightread@db/nightread
    """
    settings = settings_from(**options)
    if settings.database_url is None:
        make_state_folder(settings.state_dir)
    database = open_database(settings.sql_url)
    try:
        with one_line_errors():
            schema.upgrade(database)
            schema.require_newest(database)
    finally:
        database.close()
    out.print("The database has the newest schema.")
