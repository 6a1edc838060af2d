"""Files of archives that were rejected leave the spool at once, and a sweep removes what a crash left."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from archive_files import tar_gz_file, zip_file
from dicom_files import phantom
from ledger_driver import LedgerDriver
from worker_driver import WorkerDriver

from cli.audits.spool_audit import compare_spool
from db import ledger, queries
from nightread.clock import utc_now
from producer.spool.unpacked import purge_unpacked
from worker.analyse import analyse
from worker.archives import discard

MIB = 1024**2
JUNK = bytes(2 * MIB)


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox and a network that accepts every image, whose clock shows the real time."""
    ledger_driver.clock.now = utc_now()
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def spooled_bytes(worker_driver: WorkerDriver) -> list[int]:
    """Return the sizes of the files in the spool, complete or not."""
    return sorted(path.stat().st_size for path in worker_driver.settings().spool_folder.rglob("*") if path.is_file())


def analyse_all(worker_driver: WorkerDriver, **options: Any) -> Counter[tuple[str, str | None]]:
    """Analyse until no work is left, and return the outcomes."""
    context = worker_driver.context(**options)
    while worker_driver.analyse(context):
        continue
    return Counter((row.state, row.reason) for row in worker_driver.ledger_driver.work())


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (JUNK, "media_file"),
        (bytes(128) + b"DICM" + JUNK, "truncated"),
        (phantom(2)[:3000], "truncated"),
        (zip_file({"../escaped": JUNK}), "archive_escapes"),
        (tar_gz_file({"a": JUNK})[:-4], "truncated"),
    ],
    ids=["junk", "dicom-junk", "cut", "hostile-archive", "cut-archive"],
)
def test_a_rejected_member_leaves_the_spool_at_once(worker_driver: WorkerDriver, member: bytes, reason: str) -> None:
    """A small archive must not fill the disk for days. The image beside it stays for `spool_keep_days`."""
    worker_driver.put(disc=zip_file({"IM1": phantom(1), "x": member}))
    found = analyse_all(worker_driver, arrival_timeout_seconds=0)
    assert (found["expanded", None], found["done", None], found.total()) == (1, 1, 3)
    assert {key for key in found if key[0] == "rejected"} == {("rejected", reason)}
    assert spooled_bytes(worker_driver) == [len(phantom(1))]
    assert _missing(worker_driver) == ()


def test_members_of_archives_in_archives_leave_the_spool(worker_driver: WorkerDriver) -> None:
    """Only the inner archives, which hold images too, stay as long as images do."""
    inner = zip_file({"IM1": phantom(1), "junk": JUNK})
    worker_driver.put(disc=zip_file({"inner.zip": inner, "junk": JUNK + b"1", "more.zip": zip_file({"j": JUNK})}))
    found = analyse_all(worker_driver)
    assert found == {("expanded", None): 3, ("done", None): 1, ("rejected", "media_file"): 3}
    assert max(spooled_bytes(worker_driver)) <= max(len(phantom(1)), len(inner))


def test_members_that_another_model_may_take_stay(worker_driver: WorkerDriver) -> None:
    """`nightread retry` analyses them after the rules have changed; an image in a folder is never removed."""
    worker_driver.put(disc=zip_file({"IM1": phantom(1)}), junk=JUNK)
    found = analyse_all(worker_driver, with_model=False)
    assert found == {("expanded", None): 1, ("rejected", "no_model"): 1, ("rejected", "not_dicom"): 1}
    assert spooled_bytes(worker_driver) == [len(phantom(1))]
    assert (worker_driver.inbox / "junk").exists()


def test_a_member_beyond_the_limit_takes_no_room(worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker reads it, so its bytes are not written; its size is still known."""
    monkeypatch.setattr(discard, "discard_rejected", lambda *_: None)
    monkeypatch.setattr("worker.analyse.discard_rejected", lambda *_: None)
    worker_driver.put(disc=zip_file({"large": bytes(range(256)) * 40_000, "IM1": phantom(1)}))
    found = analyse_all(worker_driver, max_file_bytes=5 * MIB)
    assert found == {("expanded", None): 1, ("done", None): 1, ("rejected", "too_large"): 1}
    (large,) = [path for path in worker_driver.settings().spool_folder.rglob("*") if path.stat().st_size > 5 * MIB]
    assert (large.stat().st_size, large.stat().st_blocks * 512 < MIB) == (256 * 40_000, True)


def test_a_member_beyond_the_limit_of_another_host_is_too_large(worker_driver: WorkerDriver) -> None:
    """The worker that reads the file accepts larger ones, and must not take what was kept for no image."""
    worker_driver.put(disc=zip_file({"large": phantom(2) + bytes(MIB), "IM1": phantom(1)}))
    worker_driver.analyse(worker_driver.context(max_file_bytes=MIB))
    found = analyse_all(worker_driver)
    assert found == {("expanded", None): 1, ("done", None): 1, ("rejected", "too_large"): 1}
    (row,) = [row for row in worker_driver.ledger_driver.work() if row.reason == "too_large"]
    size = len(phantom(2)) + MIB
    assert row.detail == f"The file has {size} bytes, more than max_file_bytes when its archive was unpacked."


def test_a_batch_that_was_taken_removes_nothing(worker_driver: WorkerDriver) -> None:
    """The process that has the batch now still needs the files."""
    worker_driver.put(disc=zip_file({"junk": JUNK}))
    worker_driver.analyse(worker_driver.context())
    worker_driver.ledger_driver.clock.advance(minutes=10)
    (batch,) = worker_driver.form()
    driver, record = worker_driver.ledger_driver, ledger.record

    def too_late(*arguments: Any, **named: Any) -> Counter[str]:
        ledger.requeue_predecessor(driver.database, driver.process, now=driver.clock())
        return record(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "record", too_late)
        assert analyse(worker_driver.context(), batch.id).counts == {}
    assert spooled_bytes(worker_driver) == [len(JUNK)]
    assert analyse_all(worker_driver)["rejected", "media_file"] == 1
    assert spooled_bytes(worker_driver) == []


def test_the_sweep_removes_what_a_dead_worker_left(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died after the commit, or while it unpacked an archive that another process has finished since."""
    worker_driver.put(disc=zip_file({"junk": JUNK, "IM1": phantom(1)}), waiting=zip_file({"IM2": phantom(2)}))
    monkeypatch.setattr("worker.analyse.discard_rejected", lambda *_: None)
    archive = worker_driver.ledger_driver.instances()[0].id
    analyse_all(worker_driver)
    root = worker_driver.settings().spool_folder / "archives"
    for name in (f".partial-{archive}-a", ".partial-4711-b", ".partial-4712-c", "20200101/4713-abc"):
        (root / name).mkdir(parents=True)
        (root / name / "000001.dcm").write_bytes(b"half")
    os.utime(root / ".partial-4711-b", (0, 0))
    assert len(spooled_bytes(worker_driver)) == 3 + 4
    assert _sweep(worker_driver) == 1
    assert sorted(path.name for path in root.glob(".*")) == [".partial-4712-c"]
    assert spooled_bytes(worker_driver) == sorted([4, len(phantom(1)), len(phantom(2))])


def test_the_sweep_keeps_what_a_running_worker_unpacks(worker_driver: WorkerDriver) -> None:
    """The archive is being analysed: neither its incomplete folder nor its complete one is removed."""
    worker_driver.put(disc=zip_file({"IM1": phantom(1)}))
    archive = worker_driver.ledger_driver.instances()[0].id
    (batch,) = worker_driver.form()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "record", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            analyse(worker_driver.context(), batch.id)
    partial = worker_driver.settings().spool_folder / "archives" / f".partial-{archive}-a"
    partial.mkdir()
    assert _sweep(worker_driver) == 0
    assert partial.exists()
    assert len(spooled_bytes(worker_driver)) == 1


def test_the_files_of_a_copied_archive_leave_the_spool(worker_driver: WorkerDriver) -> None:
    """Both are unpacked in one batch, and only the files of the first are registered."""
    data = zip_file({"IM1": phantom(1)})
    worker_driver.put(first=data, second=data)
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("duplicate", None): 1, ("done", None): 1}
    assert len(spooled_bytes(worker_driver)) == 2
    _sweep(worker_driver)
    assert len(spooled_bytes(worker_driver)) == 1
    assert _missing(worker_driver) == ()


def _sweep(worker_driver: WorkerDriver) -> int:
    driver = worker_driver.ledger_driver
    return purge_unpacked(driver.database, worker_driver.settings(), clock=driver.clock)


def _missing(worker_driver: WorkerDriver) -> tuple[tuple[int, str], ...]:
    """Return the members whose files `nightread audit` misses."""
    database = worker_driver.ledger_driver.database
    (source,) = [source for source in queries.sources(database) if source.name == "archives"]
    return compare_spool(database, source, worker_driver.settings()).gone


def _interrupt(*_arguments: object, **_named: object) -> None:
    raise KeyboardInterrupt
