"""Start a worker process while the database is unavailable."""

import logging
import threading
from contextlib import closing

import pytest
from postgres_stopped import stopped
from servers import private_postgres

from db import schema
from db.engine import open_database
from db.retry import OutageLog, retry_while_unavailable
from worker.context import START_RETRY, log


@pytest.mark.servers
def test_it_waits_for_a_stopped_server_and_logs_that(caplog: pytest.LogCaptureFixture) -> None:
    """If the process ended instead, the whole worker would be restarted and all networks loaded again."""
    with private_postgres() as server:
        server.execute("CREATE DATABASE record TEMPLATE template0")
        with closing(open_database(server.url("record"))) as database:
            schema.upgrade(database)
            start = threading.Thread(
                target=retry_while_unavailable,
                args=(lambda: schema.require_newest(database), START_RETRY, OutageLog(log)),
            )
            with stopped(server):
                start.start()
                start.join(0.5)
                assert start.is_alive()
            start.join(20)
            assert not start.is_alive()
    *said, last = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said
    assert last == "the database is available again"
    assert all(line.startswith("the database is unavailable, trying again: its server") for line in said)
