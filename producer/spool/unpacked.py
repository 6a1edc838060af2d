"""Remove unpacked files of archives some days after their outcome, and remove useless ones at once."""

import logging
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from db import error_messages, queries
from db.engine import Database
from db.tables import UNFINISHED, State
from nightread.clock import Clock, utc_now
from nightread.paths import root_path
from nightread.removal import remove_folder, remove_leftovers, set_aside
from nightread.settings import Settings
from nightread.sources import ARCHIVES, PARTIAL_PREFIX
from producer.spool.purge import purge
from producer.spool.spool import FOLDER_FILES, Spool

log = logging.getLogger(__name__)

PURGE_SECONDS = 600.0
_REST_PER_PURGE = 50
_STALE_SECONDS = 86400


def purge_unpacked(database: Database, settings: Settings, *, clock: Clock = utc_now) -> int:
    """Remove the unpacked files that are due. Returns their number; 0 if this host has no spool for archives.

    Workers unpack archives; any host that watches folders removes the files from the shared spool. Raises errors of
    the database, and OSError.
    """
    removed = 0
    for source_id, root in _spools(database, settings):
        now = clock()
        spool = Spool(root, clock=clock)
        removed += purge(database, spool, settings, source_id=source_id, now=now, all_days=True)
        _remove_unneeded(database, root, source_id, stale_before=now.timestamp() - _STALE_SECONDS)
    return removed


def keep_purging(database: Database, settings: Settings, stop: threading.Event) -> None:
    """Purge every ten minutes until `stop` is set.

    First, remove the folders that a dead process had set aside and had not removed yet.
    """
    with _later_after_an_error():
        for _, root in _spools(database, settings):
            remove_leftovers(root)
    pause = PURGE_SECONDS
    while not stop.wait(pause):
        began = time.monotonic()
        with _later_after_an_error():
            purge_unpacked(database, settings)
        pause = max(PURGE_SECONDS, _REST_PER_PURGE * (time.monotonic() - began))


@contextmanager
def _later_after_an_error() -> Iterator[None]:
    """Log an error of the database or disk: the next purge tries again."""
    try:
        yield
    except SQLAlchemyError as error:
        log.warning("unpacked files could not be purged: %s", error_messages.describe(error))
    except OSError as error:
        log.warning("unpacked files could not be purged", extra={"errno": error.errno})


def _spools(database: Database, settings: Settings) -> Iterator[tuple[int, Path]]:
    """Yield id and folder of the source of unpacked files, if this host has the folder."""
    for source in queries.sources(database):
        if source.kind == ARCHIVES:
            root = settings.roots.get(source.name) or root_path(source.root)
            if root.is_dir():
                yield source.id, root


def _remove_unneeded(database: Database, root: Path, source_id: int, *, stale_before: float) -> None:
    """Remove unpacked files that were never registered: those of copies, failed attempts and dead workers."""
    remove_leftovers(root)
    for partial in _abandoned(database, root, stale_before):
        remove_folder(partial, root)
    for folder, first_file in _unregistered(database, root, source_id).items():
        _remove_unless_wanted(database, root, source_id, {folder: first_file})


def _remove_unless_wanted(database: Database, root: Path, source_id: int, first_file: Mapping[Path, str]) -> None:
    """Remove a complete folder, unless a worker has begun to analyse its archive again, or has registered its files.

    The folder is renamed first and then checked. If there is such a worker, the folder gets its old name back, because
    the worker may have found it before. A worker that comes later finds no folder and unpacks the archive again.
    """
    (folder,) = first_file
    renamed = set_aside(folder, root)
    if renamed is None:
        return
    if not _unneeded(database, root, source_id, first_file):
        with suppress(OSError):  # it was unpacked again
            renamed.rename(folder)
    shutil.rmtree(renamed, ignore_errors=True)


def _abandoned(database: Database, root: Path, stale_before: float) -> Iterator[Path]:
    """Yield the incomplete folders that no worker writes.

    Their archive is not being analysed; or it is unknown, and the folder has not changed for a day.
    """
    partials = {path: _archive_id(path.name.removeprefix(PARTIAL_PREFIX)) for path in root.glob(f"{PARTIAL_PREFIX}*")}
    states = queries.archive_states(database, list(partials.values()))
    for path, archive_id in partials.items():
        with suppress(FileNotFoundError):  # a worker has just completed it
            is_stale = path.stat().st_mtime < stale_before
            if is_stale if archive_id not in states else states[archive_id] is not State.RUNNING:
                yield path


def _unregistered(database: Database, root: Path, source_id: int) -> dict[Path, str]:
    """Return the complete folders whose files are not registered, and whose archive has its outcome or is unknown.

    Each folder comes with the name of its first file, which represents all: the members of an archive are registered
    in one transaction, together with its outcome.
    """
    folders = root.glob("[0-9]*/*-*")
    first_files = {folder: path.name for folder in folders if (path := next(folder.iterdir(), None))}
    return _unneeded(database, root, source_id, _without_rows(database, root, source_id, first_files))


def _unneeded(database: Database, root: Path, source_id: int, first_files: Mapping[Path, str]) -> dict[Path, str]:
    """Return the folders whose archive has its outcome or is unknown, and whose first file has no row.

    The states of the archives are read before the rows of the files. A worker commits both in one transaction, so the
    rows of an archive that has its outcome are found.
    """
    states = queries.archive_states(database, [_archive_id(folder.name) for folder in first_files])
    final = {
        folder: name for folder, name in first_files.items() if states.get(_archive_id(folder.name)) not in UNFINISHED
    }
    return _without_rows(database, root, source_id, final)


def _without_rows(database: Database, root: Path, source_id: int, first_files: Mapping[Path, str]) -> dict[Path, str]:
    """Return the folders whose first file has no row in the database."""
    by_path = {f"{folder.relative_to(root)}/{name}": folder for folder, name in first_files.items()}
    paths = list(by_path)
    missing = (
        path
        for begin in range(0, len(paths), FOLDER_FILES)
        for path in queries.missing_from_ledger(database, source_id, paths[begin : begin + FOLDER_FILES])
    )
    return {by_path[path]: first_files[by_path[path]] for path in missing}


def _archive_id(name: str) -> int:
    """Return the instance id with which the name of a folder begins, or 0, which is no instance id."""
    number = name.partition("-")[0]
    return int(number) if number.isdecimal() else 0
