"""Remove unpacked files of archives some days after their outcome."""

import logging
import shutil
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError

from db import error_messages, queries
from db.engine import Database
from db.queries import ImageFilter
from db.tables import UNFINISHED
from nightread.clock import Clock, utc_now
from nightread.paths import root_path
from nightread.settings import Settings
from nightread.sources import ARCHIVES
from producer.spool.purge import purge
from producer.spool.spool import Spool

log = logging.getLogger(__name__)

PURGE_SECONDS = 600.0
_REST_PER_PURGE = 50
_REMOVED_PREFIX = ".removed-"


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
                removed += purge(database, Spool(root, clock=clock), settings, source_id=source.id, now=now)
                _remove_unneeded(database, root, source.id, before=now - timedelta(days=settings.spool_keep_days))
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


def _remove_unneeded(database: Database, root: Path, source_id: int, *, before: datetime) -> None:
    """Remove folders whose files were never registered, since the archive was a duplicate or was replaced."""
    for left in root.glob(f"{_REMOVED_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    for folder in list(root.glob("[0-9]*/*-*")):
        if folder.parent.name < f"{before:%Y%m%d}" and _is_unneeded(database, folder, root, source_id):
            renamed = root / f"{_REMOVED_PREFIX}{uuid4()}"  # atomic: a worker must not find half of the folder
            folder.rename(renamed)
            shutil.rmtree(renamed, ignore_errors=True)


def _is_unneeded(database: Database, folder: Path, root: Path, source_id: int) -> bool:
    """Return whether no file of the folder is registered and the archive has no unfinished work.

    All members of an archive are registered in one transaction, so that one file represents all of them.
    """
    path = next(folder.iterdir(), None)
    if path is None or not queries.missing_from_ledger(database, source_id, [f"{path.relative_to(root)}"]):
        return False
    archive_id = int(folder.name.partition("-")[0])
    archive = next(queries.images(database, ImageFilter(image_ids=(archive_id,))), None)
    return archive is None or archive["state"] not in UNFINISHED
