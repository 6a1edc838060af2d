"""What came out of archives is removed some days after its outcome, as received files are."""

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
_ASIDE = ".removed-"


def purge_unpacked(database: Database, settings: Settings, *, clock: Clock = utc_now) -> int:
    """Remove what is due; returns the number of files. Nothing where no archive came, or this host has no such spool.

    Workers unpack, and any host that watches removes: both see the same spool. Raises errors of the database, OSError.
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
    """Now and then, until `stop` is set. A database or a disk that fails is tried again later."""
    pause = PURGE_SECONDS
    while not stop.wait(pause):
        began = time.monotonic()
        try:
            purge_unpacked(database, settings)
        except SQLAlchemyError as error:
            log.warning("unpacked files were not removed: %s", error_messages.describe(error))
        except OSError as error:
            log.warning("unpacked files were not removed", extra={"errno": error.errno})
        pause = max(PURGE_SECONDS, _REST_PER_PURGE * (time.monotonic() - began))


def _remove_unneeded(database: Database, root: Path, source_id: int, *, before: datetime) -> None:
    """Folders of which the ledger never heard: the archive was another's copy, or replaced, as turned out too late."""
    for left in root.glob(f"{_ASIDE}*"):
        shutil.rmtree(left, ignore_errors=True)
    for folder in list(root.glob("[0-9]*/*-*")):
        if folder.parent.name < f"{before:%Y%m%d}" and _is_unneeded(database, folder, root, source_id):
            aside = root / f"{_ASIDE}{uuid4()}"  # at once and whole: a worker must not find half of it
            folder.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)


def _is_unneeded(database: Database, folder: Path, root: Path, source_id: int) -> bool:
    """Members become arrivals together, so one tells of all; an archive that is under way may still need them."""
    path = next(folder.iterdir(), None)
    if path is None or not queries.missing_from_ledger(database, source_id, [f"{path.relative_to(root)}"]):
        return False
    archive_id = int(folder.name.partition("-")[0])
    archive = next(queries.images(database, ImageFilter(image_ids=(archive_id,))), None)
    return archive is None or archive["state"] not in UNFINISHED
