"""Define `nightread db`: create or upgrade the database schema, and let a role read the views."""

from typing import Any

import click

from cli.embedded.state_folder import make_state_folder
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.output.console import out
from db import schema
from db.engine import open_database
from db.readers import VIEWS, grant_readers


@click.group("db")
def db_command() -> None:
    """Manage the database schema, and let other programs read the views."""


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


@db_command.command("grant-readers")
@click.argument("role")
@state_options
def grant_readers_command(role: str, **options: Any) -> None:
    """Let a role of PostgreSQL read the views v_results, v_studies, v_nights, v_batches and v_series, and nothing else.

    Create the role first: CREATE ROLE reports LOGIN PASSWORD '...'. A program for reports connects with it.

    Example: nightread db grant-readers reports --database-url postgresql://nightread@db/nightread
    """
    with open_existing_database(settings_from(**options)) as database, one_line_errors():
        only_views = grant_readers(database, role)
    out.print(f"The role {role} may read the views {', '.join(VIEWS)}.")
    if not only_views:
        out.print(f"Other rights let {role} read the tables too: check whether the role should have these rights.")
