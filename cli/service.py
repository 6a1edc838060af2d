"""What every part of nightread stands on that is a process of its own."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

from cli.embedded.state_folder import make_state_folder
from cli.inputs.existing_database import require_database_file
from db import schema
from db.clock_skew import require_clock_agreement
from db.engine import Database, open_database
from nightread.gc_freeze import freeze_gc
from nightread.log import set_up_logging
from nightread.settings import Settings


@contextmanager
def service(settings: Settings, *, durable: bool = False) -> Iterator[tuple[Database, Event]]:
    """Logging, the database at the right version, and an event that SIGTERM and Ctrl-C set.

    `durable` as in db.engine.open_database. Raises UsageFault and StopWork where there is no such database.
    """
    set_up_logging(settings.log_format, settings.log_level)
    make_state_folder(settings.state_dir)
    stop = Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    require_database_file(settings)
    database = open_database(settings.sql_url, durable=durable)
    try:
        schema.require_newest(database)
        require_clock_agreement(database)
        freeze_gc()
        yield database, stop
    finally:
        database.close()
