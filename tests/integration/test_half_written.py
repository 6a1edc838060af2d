"""A file that was taken up too early and waits for its rest."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from night import LEASE, Night, build_arrivals, build_outcome
from sqlalchemy import update

from db import ledger
from db.ledger import Registered
from db.tables import State, work
from nightread.reasons import Reason
from nightread.settings import load_settings
from producer.folder import Folder
from producer.watch import FolderWatcher

PATIENCE_SECONDS = 30


def send_back_as_still_arriving(night: Night) -> None:
    """What a worker does with a young truncated file: it waits, and the ledger knows since when it was tried."""
    (batch,) = night.form()
    images = ledger.claim(night.database, batch.id, process=night.process, lease=LEASE, now=night.clock())
    later = night.clock() + timedelta(seconds=200)
    outcomes = [
        build_outcome(image, state=State.RECEIVED, reason=Reason.STILL_ARRIVING, not_before=later) for image in images
    ]
    night.record(batch, outcomes)
    night.database.write(lambda connection: connection.execute(update(work).values(tried_since=night.clock())))
    assert night.form() == []


def test_its_completed_file_is_taken_up_at_once(night: Night) -> None:
    """Nothing of the waiting is left: neither its end, nor the tries, nor since when it was tried."""
    (arrival,) = build_arrivals(1)
    night.register([arrival])
    send_back_as_still_arriving(night)

    assert night.register([replace(arrival, size=2000)]) == Registered(new=0, changed=1)

    (row,) = night.work()
    assert (row.state, row.not_before, row.tried_since, row.attempts) == (State.RECEIVED, None, None, 0)
    assert [batch.images for batch in night.form()] == [1]


def test_the_same_file_again_goes_on_waiting(night: Night) -> None:
    """A scan that meets it as it was changes nothing."""
    arrivals = build_arrivals(1)
    night.register(arrivals)
    send_back_as_still_arriving(night)
    assert night.register(arrivals) == Registered(new=0, changed=0)
    assert night.form() == []


def test_a_watcher_takes_up_what_was_completed_or_replaced(night: Night, tmp_path: Path) -> None:
    """By the size or the time of the file itself, whoever wrote it and however."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for name in ("completed", "replaced"):
        (inbox / name).write_bytes(b"half")
    fast = {"settle_seconds": 0.05, "scan_seconds": 0.05}
    settings = load_settings(None, state_dir=tmp_path / "state", **fast)
    changes: list[int] = []
    watcher = FolderWatcher(Folder(inbox, settings), settings, night.database, changes.append, clock=night.clock)
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
        _wait_until(lambda: sum(changes) == 2)
        send_back_as_still_arriving(night)
        with (inbox / "completed").open("ab") as file:
            file.write(b" and the rest")
        (inbox / "new.part").write_bytes(b"half")
        (inbox / "new.part").replace(inbox / "replaced")
        _wait_until(lambda: sum(changes) == 4)
    finally:
        stop.set()
        thread.join(5)
    assert [(row.not_before, row.tried_since) for row in night.work()] == [(None, None)] * 2
    assert sum(batch.images for batch in night.form()) == 2


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
