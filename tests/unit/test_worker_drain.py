"""A worker takes no more batches while the database says that it drains."""

from pathlib import Path

import pytest
from databases import NewSqlite
from ledger_driver import SettableClock
from living_parts import worker_beat

from db import ledger
from nightread.contract import BATCH_QUEUE
from worker.lifecycle.drain import Drain


class _Consumer:
    """Records what Celery's consumer would be told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.is_away = False

    def add_task_queue(self, queue: str) -> None:
        self.calls.append(("add", queue))

    def cancel_task_queue(self, queue: str) -> None:
        if self.is_away:
            raise ConnectionError
        self.calls.append(("cancel", queue))


def test_the_queue_is_left_once_and_joined_again(new_sqlite: NewSqlite, tmp_path: Path, clock: SettableClock) -> None:
    """Each change is passed on once; a drain of an earlier start of this worker does not concern it."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        worker_beat(database, now=clock())
        consumer = _Consumer()
        drain = Drain(database, consumer, node="w@host", boot_id="1")
        drain.follow()
        assert consumer.calls == []
        assert ledger.drain(database, "w@host", actor="ann", now=clock())
        drain.follow()
        drain.follow()
        assert consumer.calls == [("cancel", BATCH_QUEUE)]
        ledger.end_drain(database, "w@host", actor="ann", now=clock())
        drain.follow()
        assert consumer.calls[1:] == [("add", BATCH_QUEUE)]
        ledger.drain(database, "w@host", actor="ann", now=clock())
        later = Drain(database, consumer, node="w@host", boot_id="2")
        later.follow()
        assert len(consumer.calls) == 2


def test_a_drain_is_repeated_until_redis_takes_it(new_sqlite: NewSqlite, tmp_path: Path, clock: SettableClock) -> None:
    """Otherwise the worker would say that it drains, and take batches."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        worker_beat(database, now=clock())
        ledger.drain(database, "w@host", actor="ann", now=clock())
        consumer = _Consumer()
        drain = Drain(database, consumer, node="w@host", boot_id="1")
        consumer.is_away = True
        with pytest.raises(ConnectionError):
            drain.follow()
        consumer.is_away = False
        drain.follow()
    assert consumer.calls == [("cancel", BATCH_QUEUE)]
