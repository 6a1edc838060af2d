"""Dump a PostgreSQL database with pg_dump while it is in use, and restore a dump with pg_restore."""

import shutil
import subprocess
from pathlib import Path

from sqlalchemy import Connection, inspect
from sqlalchemy.engine import make_url

from db.backup.contents import DatabaseContents, read_contents
from db.engine import Database
from db.queries.snapshot import snapshot
from nightread.environment import foreign_variables
from nightread.errors import StopWork

_LOCK_MILLISECONDS = 60_000
"""Longest time for which pg_dump waits for a lock; only an upgrade of the schema holds a lock that blocks pg_dump."""
_VERSION_NUMBER = 10_000


def dump_postgresql(database: Database, sql_url: str, target: Path) -> DatabaseContents:
    """Write a dump in the custom format of pg_dump to `target`; return its contents.

    The rows are counted in the snapshot of the dump. Writers do not wait. The password is passed in the environment.

    Raises SQLAlchemyError, and StopWork if pg_dump is missing, is older than the server or fails.
    """
    program = _find("pg_dump")
    with snapshot(database) as connection:
        _require_version(program, connection)
        shared = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        contents = read_contents(connection)
        options = ["--format=custom", f"--snapshot={shared}", f"--lock-wait-timeout={_LOCK_MILLISECONDS}"]
        _run([program, *options, f"--file={target}"], sql_url)
    return contents


def restore_postgresql(sql_url: str, dump: Path) -> None:
    """Restore a dump into an empty database, in one transaction; the user of the URL becomes the owner.

    Raises StopWork if pg_restore is missing or fails; then the database stays empty.
    """
    options = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    _run([_find("pg_restore"), *options, str(dump)], sql_url)


def has_tables(connection: Connection) -> bool:
    """Return whether the database has any table."""
    return bool(inspect(connection).get_table_names())


def _find(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise StopWork(
            f"{program} is not installed here: install the client of PostgreSQL (Debian: postgresql-client), run this "
            "command on a host that has it, or use the tools of your database server (docs/operations.md, Backup)."
        )
    return found


def _require_version(program: str, connection: Connection) -> None:
    """Raise StopWork if pg_dump is older than the server, because such a pg_dump refuses to dump it."""
    server = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // _VERSION_NUMBER
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    words = [word for word in shown.split() if word[0].isdigit()]
    client = words[0].partition(".")[0] if words else ""
    if client.isdigit() and int(client) < server:
        raise StopWork(
            f"pg_dump {client} cannot dump a server of PostgreSQL {server}: install the client of PostgreSQL {server} "
            f"(Debian: postgresql-client-{server})."
        )


def _run(command: list[str], sql_url: str) -> None:
    """Run a program of PostgreSQL on the database of the URL.

    The output of the program is not shown, because it may quote rows. Raises StopWork if the program fails.
    """
    conninfo, password = _connection(sql_url)
    environment = foreign_variables() | ({} if password is None else {"PGPASSWORD": password})
    ended = subprocess.run([*command, f"--dbname={conninfo}"], env=environment, capture_output=True, check=False)
    if ended.returncode:
        name = Path(command[0]).name
        raise StopWork(
            f"{name} failed (exit code {ended.returncode}): check with `nightread doctor` that the database can be "
            "reached, that its disk has space, that its user may read and create all tables, and that the releases of "
            f"{name} and of the server are equal."
        )


def _connection(sql_url: str) -> tuple[str, str | None]:
    """Return the connection string for libpq without the password, and the password."""
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - an optional extra

    url = make_url(sql_url).set(drivername="postgresql+psycopg")
    _, options = url.get_dialect()().create_connect_args(url)
    password = options.pop("password", None)
    return make_conninfo(**options), password
