"""Set up a service process: logging, database and signals."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event

from cli.embedded.state_folder import make_state_folder
from cli.inputs.existing_database import require_database_file
from db import schema
from db.clock_skew import require_clock_agreement
from db.engine import Database, open_database
from nightread.exposure import exposures_of
from nightread.gc_freeze import freeze_gc
from nightread.log import set_up_logging
from nightread.settings import Settings
from nightread.shutdown import stop_on_signal
from nightread.sources import Destination, Source

log = logging.getLogger(__name__)


@contextmanager
def service(
    settings: Settings,
    *,
    durable: bool = False,
    starts_without_database: bool = False,
    database_connections: int | None = None,
    answer_seconds: float | None = None,
    connections: Sequence[Source | Destination] = (),
) -> Iterator[tuple[Database, Event]]:
    """Set up logging, and yield the database and an event that SIGTERM and Ctrl-C set.

    A warning is logged for each of the `connections` that admits unknown senders or sends secrets unencrypted.
    `durable`, `database_connections` and `answer_seconds` are passed to db.engine.open_database. Raises UsageFault or
    StopWork if the database is missing or unavailable, has another schema version, or has a clock that differs from the
    clock of this host. With `starts_without_database` only a missing SQLite file is an error.
    """
    set_up_logging(settings.log_format, settings.log_level)
    for exposure in (exposure for connection in connections for exposure in exposures_of(connection)):
        log.warning("%s", exposure.line)
    make_state_folder(settings.state_dir)
    stop = stop_on_signal()
    require_database_file(settings)
    database = open_database(
        settings.sql_url, durable=durable, connections=database_connections, answer_seconds=answer_seconds
    )
    try:
        if not starts_without_database:
            schema.require_newest(database)
            require_clock_agreement(database)
        freeze_gc()
        yield database, stop
    finally:
        database.close()
