"""Restore a backup; nothing is ever overwritten."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from cli.backups.archive import ArchiveReader
from cli.backups.manifest import BUNDLES, Manifest
from db import ledger, queries, schema
from db.backup.contents import count_rows, read_contents
from db.backup.postgresql_dump import has_tables, restore_postgresql
from db.backup.sqlite_copy import inspect_sqlite
from db.engine import Database, open_database
from db.queries.backups import RESTORE
from db.queries.snapshot import snapshot
from nightread.clock import utc_now
from nightread.durable import publish
from nightread.errors import StopWork, UsageFault
from nightread.settings import Settings

_NEVER = "and a restore never overwrites anything: move it away, or name another folder with --state."


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What a restore has done."""

    schema: str
    """Revision of the schema, after the upgrade to this release."""
    waiting_again: int
    """Images that were queued or being analysed at the time of the backup, and wait again."""
    broken_rules: tuple[str, ...]
    """Rules of the database that do not hold."""


def require_fitting(manifest: Manifest, settings: Settings) -> None:
    """Raise UsageFault if the backup is of another kind of database, StopWork if it is of a newer release."""
    kind = "sqlite" if make_url(settings.sql_url).get_backend_name() == "sqlite" else "postgresql"
    if kind != manifest.database:
        names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
        raise UsageFault(
            f"The backup is of {names[manifest.database]}, and the settings name {names[kind]}: "
            "correct --database-url or NIGHTREAD_DATABASE_URL."
        )
    if not schema.is_known(manifest.schema_version):
        raise StopWork(
            f"The backup has schema {manifest.schema_version} of a newer release ({manifest.release}): "
            "install that release on this host."
        )


def require_empty(manifest: Manifest, settings: Settings, *, with_bundles: bool) -> None:
    """Raise UsageFault if there is a database already, or a model of the same name as a model in the backup."""
    if manifest.database == "sqlite":
        file = _sqlite_file(settings)
        for path in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
            if path.exists():
                raise UsageFault(f"{path} exists, {_NEVER}")
    else:
        with closing(open_database(settings.sql_url)) as database, database.read() as connection:
            if has_tables(connection):
                raise UsageFault(
                    "The database has tables, and a restore never overwrites anything: "
                    "create an empty database, and name it in NIGHTREAD_DATABASE_URL."
                )
    for name in manifest.bundles if with_bundles else ():
        if (path := settings.state_dir / "bundles" / name).exists():
            raise UsageFault(f"{path} exists, {_NEVER} With --no-bundles the models stay as they are.")


def put_back(reader: ArchiveReader, settings: Settings, *, with_bundles: bool, actor: str) -> Restored:
    """Restore a verified backup, upgrade its schema, and set all unfinished images to `received`.

    The caller holds the lock of the state folder. Raises SQLAlchemyError. Raises StopWork if a file cannot be written,
    or if a table does not have the number of rows that the manifest lists. The restored files are then removed, but
    rows in PostgreSQL stay.
    """
    put_database = _put_sqlite if reader.manifest.database == "sqlite" else _put_postgresql
    try:
        with _extracted_bundles(reader, settings.state_dir / "bundles", wanted=with_bundles) as give_names:
            put_database(reader, settings)
            give_names()
    except OSError as error:
        raise StopWork(
            f"The backup cannot be restored ({os.strerror(error.errno or 0)}): "
            "free space on the disk of the state folder and of the database, and check that this user may write there."
        ) from error
    with closing(open_database(settings.sql_url)) as database:
        schema.upgrade(database)
        return _finish(database, reader.manifest, actor)


def _put_sqlite(reader: ArchiveReader, settings: Settings) -> None:
    file = _sqlite_file(settings)
    if not file.parent.is_dir():
        raise UsageFault(f"The folder of the database, {file.parent}, does not exist: create it.")
    partial = file.with_name(f"{file.name}.restoring")
    partial.unlink(missing_ok=True)  # an earlier restore was interrupted
    try:
        reader.extract(reader.manifest.database_file, partial)
        _require_rows(reader.manifest, dict(inspect_sqlite(partial).rows))
        publish(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def _put_postgresql(reader: ArchiveReader, settings: Settings) -> None:
    dump = settings.state_dir / "database.restoring"
    dump.unlink(missing_ok=True)
    try:
        reader.extract(reader.manifest.database_file, dump)
        restore_postgresql(settings.sql_url, dump)
    finally:
        dump.unlink(missing_ok=True)
    with closing(open_database(settings.sql_url)) as database, snapshot(database) as connection:
        _require_rows(reader.manifest, count_rows(connection))


@contextmanager
def _extracted_bundles(reader: ArchiveReader, folder: Path, *, wanted: bool) -> Iterator[Callable[[], None]]:
    """Extract all models into a temporary folder; yield a function that moves them to their final folders."""
    partial = folder / ".restoring"
    shutil.rmtree(partial, ignore_errors=True)
    bundles = reader.manifest.bundles if wanted else ()

    def give_names() -> None:
        for name in bundles:
            (partial / name).rename(folder / name)

    try:
        for path in reader.bundle_files() if wanted else ():
            target = partial.joinpath(*path.parts)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            reader.extract(f"{BUNDLES}/{path}", target)
        yield give_names
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _finish(database: Database, manifest: Manifest, actor: str) -> Restored:
    now = utc_now()
    waiting = ledger.reset_unfinished(database, now=now)
    ledger.forget_all_parts(database)
    detail = {
        "taken_at": manifest.taken_at.isoformat(),
        "release": manifest.release,
        "schema": manifest.schema_version,
        "arrivals": manifest.rows.get("instances", 0),
    }
    ledger.write_entry(database, RESTORE, detail, actor=actor, now=now)
    broken = tuple(dict.fromkeys(violation.rule for violation in queries.violations(database)))
    with database.read() as connection:
        return Restored(schema=read_contents(connection).schema, waiting_again=waiting, broken_rules=broken)


def _require_rows(manifest: Manifest, rows: dict[str, int]) -> None:
    if rows != manifest.rows:
        differing = ", ".join(
            sorted(name for name in rows | manifest.rows if rows.get(name) != manifest.rows.get(name))
        )
        raise StopWork(
            f"The restored tables differ from the manifest in their number of rows: {differing}. Use another backup."
        )


def _sqlite_file(settings: Settings) -> Path:
    return Path(make_url(settings.sql_url).database or "").absolute()
