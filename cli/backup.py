"""Define `nightread backup`: write the database and the models of this site into one file, while everything runs."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from sqlalchemy import inspect

from cli.backups.manifest import Manifest
from cli.backups.site_keys import write_site_key
from cli.backups.write import backup_name, remove_older, write_backup
from cli.embedded.state_folder import make_state_folder
from cli.inputs.existing_database import one_line_errors, require_database_file
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.output.console import out, print_json
from cli.wording import counted
from db import ledger
from db.engine import Database, open_database
from db.queries.backups import BACKUP
from db.tables import audit
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.settings import Settings

_MIB = 1024**2


@click.command("backup")
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    metavar="FILE|DIR",
    help="New file, or an existing folder, in which the file is named by its time [backups/ in the state folder].",
)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="After the backup, remove older backups in the folder, and keep the latest N.",
)
@click.option("--no-bundles", is_flag=True, help="Leave out the models in the state folder.")
@click.option(
    "--site-key-to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Make no backup; copy the site key into this new file.",
)
@click.option("--record", is_flag=True, help="Make no backup; record that another program has just made one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def backup_command(
    to: Path | None,
    keep: int | None,
    no_bundles: bool,
    site_key_to: Path | None,
    record: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Write the database and the models of this site into one file, while everything runs.

    The file shows the database at one moment; `nightread restore` checks it and puts it back. It holds patient data,
    and only its owner can read it. It does not contain the site key, passwords, settings, logs or received files.
    SQLite is copied with its online backup; PostgreSQL with pg_dump, which must be installed. The time is recorded, so
    that `nightread doctor` can warn if the latest backup is old.

    \b
    Examples: nightread backup --to /mnt/backup --keep 14
              nightread backup --site-key-to /media/safe/site.key
              pg_dump ... && nightread backup --record
    """  # noqa: D301 - click reads the backspace itself
    if sum((to is not None or no_bundles or keep is not None, site_key_to is not None, record)) > 1:
        raise UsageFault("--site-key-to and --record make no backup: give each of them alone.")
    if keep is not None and to is not None and not to.is_dir():
        raise UsageFault("--keep needs a folder: give one with --to.")
    settings = settings_from(**options)
    if site_key_to is not None:
        write_site_key(settings, site_key_to)
        out.print(f"The site key is in {site_key_to}: never keep it in the same place as a backup.")
        return
    with _opened_database(settings) as database, one_line_errors():
        taken_at = utc_now()
        if record:
            _record(database, taken_at, {})
            out.print("The backup is recorded.")
            return
        target = _target(settings, to, taken_at)
        manifest = write_backup(settings, database, target, taken_at=taken_at, with_bundles=not no_bundles)
        size = target.stat().st_size
        _record(database, taken_at, _numbers(manifest, size))
    removed = remove_older(target, keep) if keep is not None else []
    if as_json:
        names = [path.name for path in removed]
        print_json(
            {
                "file": str(target),
                "bytes": size,
                "removed": names,
                **manifest.model_dump(mode="json", exclude={"files"}),
            }
        )
    else:
        _show(manifest, target, size)
        for path in removed:
            out.print(f"removed: {path}")


@contextmanager
def _opened_database(settings: Settings) -> Iterator[Database]:
    """Open the database with any version of the schema: people make a backup before they upgrade an old schema."""
    require_database_file(settings)
    with closing(open_database(settings.sql_url)) as database:
        with one_line_errors(), database.read() as connection:
            if not inspect(connection).has_table(audit.name):
                raise UsageFault("The database has no tables, so there is nothing to back up.")
        yield database


def _target(settings: Settings, to: Path | None, taken_at: datetime) -> Path:
    """Return the path of the new file. Raises UsageFault if its folder does not exist."""
    name = backup_name(taken_at)
    if to is None:
        make_state_folder(settings.state_dir)
        folder = settings.state_dir / "backups"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / name
    if not (to if to.is_dir() else to.absolute().parent).is_dir():
        raise UsageFault(f"The folder of {to} does not exist: create it, or mount the disk that it is on.")
    return to.absolute() / name if to.is_dir() else to.absolute()


def _record(database: Database, taken_at: datetime, numbers: dict[str, object]) -> None:
    detail = {"taken_at": taken_at.isoformat(), **numbers}
    ledger.write_entry(database, BACKUP, detail, actor=user_name(), now=taken_at)


def _numbers(manifest: Manifest, size: int) -> dict[str, object]:
    return {"bytes": size, "schema": manifest.schema_version, "arrivals": manifest.rows["instances"]}


def _show(manifest: Manifest, target: Path, size: int) -> None:
    arrivals = counted(manifest.rows["instances"], "arrival")
    models = counted(len(manifest.bundles), "model")
    out.print(f"{target}: {arrivals}, {models}, schema {manifest.schema_version}, {size / _MIB:,.1f} MiB")
    out.print("The file holds patient data. Keep a copy on another machine.")
    if manifest.site_keys:
        ids = ", ".join(manifest.site_keys)
        out.print(f"The site key {ids} is not in the backup: keep it apart (`nightread backup --site-key-to FILE`).")
