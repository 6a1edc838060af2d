"""Remove received files some days after their outcome; their rows stay in the database."""

import logging
from datetime import datetime, timedelta

from db import queries
from db.engine import Database
from nightread.settings import Settings
from producer.spool.spool import Spool

log = logging.getLogger(__name__)

_DAY = timedelta(days=1)


def purge(
    database: Database, spool: Spool, settings: Settings, *, source_id: int, now: datetime, all_days: bool = False
) -> int:
    """Remove the files that are due. Returns their number. Raises errors of the database, and OSError.

    It lists the spool and looks the files up in the database, because the spool stays small and the database grows.
    Files that are not in the database, or whose work is unfinished, are kept. With `all_days`, the files of the latest
    days are checked too, so that useless files (queries.Spooled) are removed without delay.
    """
    good_before = now - timedelta(days=settings.spool_keep_days)
    bad_before = now - timedelta(days=settings.spool_keep_failed_days)
    removed = 0
    # An outcome cannot be older than the day on which its file arrived.
    for paths in spool.files(before=None if all_days else max(good_before, bad_before) + _DAY):
        found = queries.spooled_at(database, source_id, paths)
        needed = {file.uri for file in found if not file.is_due(good_before=good_before, bad_before=bad_before)}
        removed += spool.remove({file.uri for file in found} - needed)
    spool.remove_empty(before=now - _DAY)
    if removed:
        log.info("received files were purged from the spool", extra={"source": source_id, "files": removed})
    return removed
