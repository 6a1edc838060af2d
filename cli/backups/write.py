"""Write the file of a backup while everything runs."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from cli.backups.archive import ArchiveWriter
from cli.backups.manifest import BUNDLES, DATABASE_FILES, DatabaseKind, Manifest
from db.backup.contents import DatabaseContents
from db.backup.postgresql_dump import dump_postgresql
from db.backup.sqlite_copy import copy_sqlite
from db.engine import Database
from models.bundle import CARD_FILE
from nightread import __version__
from nightread.durable import publish
from nightread.errors import StopWork, UsageFault
from nightread.file_lock import FileLockedError, lock_file
from nightread.settings import Settings

_PARTIAL = ".nightread-backup.partial"
"""Folder beside the backup, in which the backup is written. The next backup removes what a crash left there."""
_NAME = re.compile(r"nightread-\d{8}T\d{6}Z\.tar")
_GIB = 1024**3


def write_backup(
    settings: Settings,
    database: Database,
    target: Path,
    *,
    taken_at: datetime,
    with_bundles: bool = True,
    on_progress: Callable[[float], object] = lambda _share: None,
) -> Manifest:
    """Write the new file `target`, which only its owner can read. It appears when it is complete and on the disk.

    Raises UsageFault if the file exists or another backup is being written to the same folder, StopWork if the file
    cannot be written, and SQLAlchemyError.
    """
    if target.exists():
        raise UsageFault(f"{target} exists, and a backup never overwrites a file: name another one.")
    bundles = list(_bundle_folders(settings.state_dir / "bundles")) if with_bundles else []
    try:
        with _working_folder(target.parent) as folder:
            _require_space(settings, folder, bundles)
            manifest = _write(settings, database, folder, bundles, taken_at, on_progress)
            _publish(folder / "archive.tar", target)
    except OSError as error:
        raise StopWork(
            f"The backup cannot be written to {target.parent} ({os.strerror(error.errno or 0)}): "
            "name a folder with enough space in which this user may write."
        ) from error
    return manifest


def backup_name(taken_at: datetime) -> str:
    """Return the name of a backup in a folder: its time in UTC, so that names sort by age."""
    return f"nightread-{taken_at:%Y%m%dT%H%M%SZ}.tar"


def remove_older(made: Path, keep: int) -> list[Path]:
    """Remove old backups beside the new backup `made`, so that `keep` backups stay. Return the removed files.

    `made` always stays, even if the clock was set back. Only files with a name of `backup_name` count; their names tell
    their age. Raises StopWork if a file cannot be removed.
    """
    others = sorted(path for path in made.parent.iterdir() if _NAME.fullmatch(path.name) and path.name != made.name)
    older = others[: max(0, len(others) - keep + 1)]
    for path in older:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StopWork(
                f"{made} is complete, but {path.name} cannot be removed ({os.strerror(error.errno or 0)}): "
                "remove it by hand, and let this user remove files there."
            ) from error
    return older


def _write(
    settings: Settings,
    database: Database,
    folder: Path,
    bundles: list[Path],
    taken_at: datetime,
    on_progress: Callable[[float], object],
) -> Manifest:
    kind: DatabaseKind = "sqlite" if database.is_sqlite else "postgresql"
    name = DATABASE_FILES[kind]
    contents = _copy_database(settings, database, folder / name, on_progress)
    descriptor = os.open(folder / "archive.tar", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        writer = ArchiveWriter(file)
        writer.add(name, folder / name)
        (folder / name).unlink()
        for bundle in bundles:
            for path in sorted(path for path in bundle.rglob("*") if path.is_file() and not path.is_symlink()):
                writer.add(f"{BUNDLES}/{path.relative_to(bundle.parent).as_posix()}", path)
        manifest = Manifest(
            taken_at=taken_at,
            release=__version__,
            database=kind,
            schema_version=contents.schema,
            rows=dict(contents.rows),
            site_keys=contents.site_keys,
            bundles=tuple(bundle.name for bundle in bundles),
            files=writer.files,
        )
        writer.finish(manifest)
        file.flush()
        os.fsync(file.fileno())
    return manifest


def _copy_database(
    settings: Settings, database: Database, target: Path, on_progress: Callable[[float], object]
) -> DatabaseContents:
    if database.is_sqlite:
        return copy_sqlite(database, target, on_progress)
    return dump_postgresql(database, settings.sql_url, target)


def _bundle_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders of complete models; while `models import` writes a folder, its name begins with a dot."""
    for card in sorted(folder.glob(f"*/{CARD_FILE}")):
        if not card.parent.name.startswith("."):
            yield card.parent


@contextmanager
def _working_folder(parent: Path) -> Iterator[Path]:
    """Yield an empty folder beside the backup, which no other backup uses, and remove it afterwards."""
    folder = parent / _PARTIAL
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        lock = lock_file(folder / "lock")
    except FileLockedError:
        raise UsageFault(f"Another backup is being written to {parent}: wait for it.") from None
    with lock:
        for left in folder.iterdir():
            if left.name != "lock":
                left.unlink()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _require_space(settings: Settings, folder: Path, bundles: list[Path]) -> None:
    """Raise StopWork if a copy of the SQLite file and the archive would leave less than disk_reserve_bytes free."""
    url = make_url(settings.sql_url)
    if url.get_backend_name() != "sqlite":
        return
    models = sum(path.stat().st_size for bundle in bundles for path in bundle.rglob("*") if path.is_file())
    needed = 2 * Path(url.database or "").stat().st_size + models + settings.disk_reserve_bytes
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StopWork(
            f"The backup temporarily needs {needed / _GIB:.1f} GiB, and {folder.parent} has "
            f"{free / _GIB:.1f} GiB free: name a folder on another disk with --to."
        )


def _publish(archive: Path, target: Path) -> None:
    """Give the finished archive its name. Raises UsageFault if a file got this name meanwhile."""
    try:
        publish(archive, target)
    except FileExistsError:
        raise UsageFault(f"{target} exists, and a backup never overwrites a file: name another one.") from None
