"""Remove unpacked files of archives some days after their outcome, and at once what nobody needs."""

import logging
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError

from db import error_messages, queries
from db.engine import Database
from db.tables import UNFINISHED, State
from nightread.clock import Clock, utc_now
from nightread.paths import root_path
from nightread.settings import Settings
from nightread.sources import ARCHIVES, PARTIAL_PREFIX
from producer.spool.purge import purge
from producer.spool.spool import FOLDER_FILES, Spool

log = logging.getLogger(__name__)

PURGE_SECONDS = 600.0
_REST_PER_PURGE = 50
_REMOVED_PREFIX = ".removed-"
_STALE_SECONDS = 86400


def purge_unpacked(database: Database, settings: Settings, *, clock: Clock = utc_now) -> int:
    """Remove the unpacked files that are due. Returns their number; 0 if this host has no spool for archives.

    Workers unpack files, and any host that watches folders removes them from the shared spool. Raises errors of the
    database, and OSError.
    """
    removed = 0
    for source in queries.sources(database):
        if source.kind == ARCHIVES:
            root = settings.roots.get(source.name) or root_path(source.root)
            if root.is_dir():
                now = clock()
                spool = Spool(root, clock=clock)
                removed += purge(database, spool, settings, source_id=source.id, now=now, all_days=True)
                _remove_unneeded(database, root, source.id, stale_before=now.timestamp() - _STALE_SECONDS)
    return removed


def keep_purging(database: Database, settings: Settings, stop: threading.Event) -> None:
    """Purge every ten minutes until `stop` is set; after an error of the database or disk, try again later."""
    pause = PURGE_SECONDS
    while not stop.wait(pause):
        began = time.monotonic()
        try:
            purge_unpacked(database, settings)
        except SQLAlchemyError as error:
            log.warning("unpacked files could not be purged: %s", error_messages.describe(error))
        except OSError as error:
            log.warning("unpacked files could not be purged", extra={"errno": error.errno})
        pause = max(PURGE_SECONDS, _REST_PER_PURGE * (time.monotonic() - began))


def _remove_unneeded(database: Database, root: Path, source_id: int, *, stale_before: float) -> None:
    """Remove what archives left that have no registered files: of copies, of failed attempts, and of dead workers."""
    for left in root.glob(f"{_REMOVED_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    for partial in _abandoned(database, root, stale_before):
        shutil.rmtree(partial, ignore_errors=True)
    for folder in _unregistered(database, root, source_id):
        renamed = root / f"{_REMOVED_PREFIX}{uuid4()}"  # atomic: a worker must not find half of the folder
        folder.rename(renamed)
        shutil.rmtree(renamed, ignore_errors=True)


def _abandoned(database: Database, root: Path, stale_before: float) -> Iterator[Path]:
    """Yield the incomplete folders that no worker writes: their archive is not being analysed, or is unknown."""
    partials = {path: _archive_id(path.name.removeprefix(PARTIAL_PREFIX)) for path in root.glob(f"{PARTIAL_PREFIX}*")}
    states = queries.archive_states(database, list(partials.values()))
    for path, archive_id in partials.items():
        with suppress(FileNotFoundError):  # a worker has just completed it
            is_stale = path.stat().st_mtime < stale_before
            if is_stale if archive_id not in states else states[archive_id] is not State.RUNNING:
                yield path


def _unregistered(database: Database, root: Path, source_id: int) -> list[Path]:
    """Return the complete folders whose files are not registered although their archive has its outcome.

    All members of an archive are registered in one transaction, together with its outcome, so that one file represents
    all of them. The states are read before the files are looked up again: a worker may have registered them just now.
    """
    folders = _without_rows(database, source_id, root, root.glob("[0-9]*/*-*"))
    states = queries.archive_states(database, [_archive_id(folder.name) for folder in folders])
    final = [folder for folder in folders if states.get(_archive_id(folder.name)) not in UNFINISHED]
    return _without_rows(database, source_id, root, final)


def _without_rows(database: Database, source_id: int, root: Path, folders: Iterable[Path]) -> list[Path]:
    first_files = {f"{path.relative_to(root)}": folder for folder in folders if (path := next(folder.iterdir(), None))}
    paths = list(first_files)
    missing = (
        path
        for begin in range(0, len(paths), FOLDER_FILES)
        for path in queries.missing_from_ledger(database, source_id, paths[begin : begin + FOLDER_FILES])
    )
    return [first_files[path] for path in missing]


def _archive_id(name: str) -> int:
    """Return the instance id with which the name of a folder begins; 0, which no archive has, for other names."""
    number = name.partition("-")[0]
    return int(number) if number.isdecimal() else 0
