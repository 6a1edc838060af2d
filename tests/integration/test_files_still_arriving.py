"""A file that was registered before it was complete waits for the rest of its bytes."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from ledger_driver import LEASE, LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import update

from db import ledger
from db.ledger import Registered
from db.tables import State, work
from nightread.reasons import Reason
from nightread.settings import load_settings
from producer.folders.folder import Folder
from producer.folders.watch import FolderWatcher

TIMEOUT_SECONDS = 30


def send_back_as_still_arriving(ledger_driver: LedgerDriver) -> None:
    """Record what a worker records for a new truncated file: it waits, with the time of its first attempt."""
    (batch,) = ledger_driver.form()
    images = ledger.claim(
        ledger_driver.database, batch.id, process=ledger_driver.process, lease=LEASE, now=ledger_driver.clock()
    )
    later = ledger_driver.clock() + timedelta(seconds=200)
    outcomes = [
        build_outcome(image, state=State.RECEIVED, reason=Reason.STILL_ARRIVING, not_before=later) for image in images
    ]
    ledger_driver.record(batch, outcomes)
    ledger_driver.database.write(
        lambda connection: connection.execute(update(work).values(tried_since=ledger_driver.clock()))
    )
    assert ledger_driver.form() == []


def test_the_completed_file_is_ready_at_once(ledger_driver: LedgerDriver) -> None:
    """End of the wait, attempts, and time of the first attempt are reset."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])
    send_back_as_still_arriving(ledger_driver)

    assert ledger_driver.register([replace(arrival, size=2000)]) == Registered(new=0, changed=1)

    (row,) = ledger_driver.work()
    assert (row.state, row.not_before, row.tried_since, row.attempts) == (State.RECEIVED, None, None, 0)
    assert [batch.images for batch in ledger_driver.form()] == [1]


def test_an_unchanged_file_continues_to_wait(ledger_driver: LedgerDriver) -> None:
    """A scan that finds the file unchanged changes nothing."""
    arrivals = build_arrivals(1)
    ledger_driver.register(arrivals)
    send_back_as_still_arriving(ledger_driver)
    assert ledger_driver.register(arrivals) == Registered(new=0, changed=0)
    assert ledger_driver.form() == []


def test_a_watcher_registers_completed_and_replaced_files(ledger_driver: LedgerDriver, tmp_path: Path) -> None:
    """It detects the change by the size or the modification time of the file."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for name in ("completed", "replaced"):
        (inbox / name).write_bytes(b"half")
    fast = {"settle_seconds": 0.05, "scan_seconds": 0.05}
    settings = load_settings(None, state_dir=tmp_path / "state", **fast)
    changes: list[int] = []
    watcher = FolderWatcher(
        Folder(inbox, settings), settings, ledger_driver.database, changes.append, clock=ledger_driver.clock
    )
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
        _wait_until(lambda: sum(changes) == 2)
        send_back_as_still_arriving(ledger_driver)
        with (inbox / "completed").open("ab") as file:
            file.write(b" and the rest")
        (inbox / "new.part").write_bytes(b"half")
        (inbox / "new.part").replace(inbox / "replaced")
        _wait_until(lambda: sum(changes) == 4)
    finally:
        stop.set()
        thread.join(5)
    assert [(row.not_before, row.tried_since) for row in ledger_driver.work()] == [(None, None)] * 2
    assert sum(batch.images for batch in ledger_driver.form()) == 2


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
