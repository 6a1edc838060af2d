"""An archive that was unpacked before its process died is read again, for the names of its members."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from archive_files import zip_file
from ledger_driver import LedgerDriver
from worker_driver import WorkerDriver

from db import ledger
from nightread.clock import utc_now
from worker.analyse import analyse
from worker.context import WorkerContext


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox, whose clock shows the real time."""
    ledger_driver.clock.now = utc_now()
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def test_the_lease_is_renewed_while_an_unpacked_archive_is_read_again(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process before unpacked it and died; the names of the members are read from the archive once more."""
    worker_driver.put(disc=zip_file({str(number): b"" for number in range(30)}))
    (batch,) = worker_driver.form()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "record", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            analyse(worker_driver.context(), batch.id)
    driver = worker_driver.ledger_driver
    assert ledger.requeue_predecessor(driver.database, driver.process, now=driver.clock()) == 1
    renewals = Counter[str]()
    monkeypatch.setattr(WorkerContext, "keep_lease", lambda _context, batch_id: renewals.update([batch_id]))

    worker_driver.analyse(worker_driver.context())

    assert max(renewals.values()) >= 30


def _interrupt(*_args: Any, **_fields: Any) -> None:
    raise KeyboardInterrupt
