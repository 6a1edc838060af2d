"""What every part of nightread stands on that is a process of its own."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

from cli.record import require_file
from cli.state_folder import make_state_folder
from db import schema
from db.engine import Database, open_database
from db.same_clock import require_same_clock
from nightread.collector import keep_out_of_collections
from nightread.log import set_up_logging
from nightread.settings import Settings


@contextmanager
def part(settings: Settings, *, durable: bool = False) -> Iterator[tuple[Database, Event]]:
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
    require_file(settings)
    database = open_database(settings.sql_url, durable=durable)
    try:
        schema.require_newest(database)
        require_same_clock(database)
        keep_out_of_collections()
        yield database, stop
    finally:
        database.close()
