"""`nightread db`: the schema of the record."""

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
    """The database that keeps the record."""


@db_command.command("upgrade")
@state_options
def upgrade_command(**options: Any) -> None:
    """Make the tables, or bring them to the newest version; does nothing when they are there.

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
