"""Write the schema of a new SQLite database from the migrations: `python tools/update_schema.py`."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from db.engine import open_database
from db.migrate import migrate
from db.schema import NEW_SQLITE

HEAD = "-- The newest schema of an SQLite database, written by `python tools/update_schema.py`.\n"


def main() -> None:
    """Run all migrations on an empty database, and write the schema that they made."""
    NEW_SQLITE.write_text(migrated_schema(), "utf-8")


def migrated_schema() -> str:
    """Return the SQL of a database after all migrations: its tables, and the row with the last revision."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new.sqlite3"
        with closing(open_database(f"sqlite:///{path}")) as database, database.writer.begin() as connection:
            migrate(connection)
        with closing(sqlite3.connect(path)) as connection:
            statements = [line for line in connection.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;")]
    return HEAD + "".join(f"{statement}\n" for statement in statements)


if __name__ == "__main__":
    main()
