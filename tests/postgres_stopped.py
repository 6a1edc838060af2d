"""Stop and restart a private PostgreSQL server."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from servers import PostgresServer
from sqlalchemy import text

from db.engine import open_database


@contextmanager
def stopped(postgres: PostgresServer) -> Iterator[None]:
    """Stop the server, and start it again at the end."""
    data = setting(postgres, "data_directory")
    _pg_ctl("stop", "-m", "fast", "-w", "-D", data)
    try:
        yield
    finally:
        options = f"-k {Path(data).parent} -h ''"
        _pg_ctl("start", "-w", "-D", data, "-l", f"{Path(data).parent}/log2", "-o", options)


def setting(postgres: PostgresServer, name: str) -> str:
    """Return a setting of the server."""
    with closing(open_database(postgres.url("postgres"))) as database, database.read() as connection:
        return str(connection.execute(text(f"SHOW {name}")).scalar_one())


def _pg_ctl(*arguments: str) -> None:
    binary = shutil.which("pg_ctl") or str(max(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")))
    user = "nobody" if os.getuid() == 0 else None
    subprocess.run([binary, *arguments], check=True, user=user, cwd="/", stdout=subprocess.DEVNULL)
