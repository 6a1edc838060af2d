"""Register the complete files of a spool that a process left when it died."""

from dataclasses import replace
from datetime import datetime

from db import ledger, queries
from db.engine import Database
from producer.spool.spool import Spool


def register_leftovers(database: Database, spool: Spool, *, source_id: int, priority: int, now: datetime) -> int:
    """Register every complete file without a row. Returns the number of new images. Raises OSError, database errors.

    The senders got no success response and may send the images again; the second copies become duplicates. The senders
    are no longer known. Only the digest of the address in the name of each file distinguishes them.
    """
    found = 0
    for paths in spool.files():
        unknown = queries.missing_from_ledger(database, source_id, paths)
        arrivals = [
            replace(arrival, sender=ledger.unknown_sender(Spool.sender_mark(path)))
            for path in unknown
            if (arrival := spool.arrival(path))
        ]
        if arrivals:
            spool.sync_folders(arrivals)
            done = ledger.receive(
                database, source_id=source_id, arrivals=arrivals, associations=[], priority=priority, now=now
            )
            found += done.new
    return found
