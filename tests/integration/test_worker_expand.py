"""Unpack an archive into arrivals, each exactly once."""

import bz2
import errno
import gzip
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from archive_files import encrypted, tar_file, tar_gz_file, tar_member, zip_file
from dicom_files import phantom
from ledger_driver import LedgerDriver, build_arrivals
from worker_driver import WorkerDriver

from db import ledger, queries
from nightread.clock import utc_now
from producer.spool.unpacked import purge_unpacked
from worker.analyse import analyse
from worker.archives import expand as expand_module
from worker.context import WorkerContext

VIEWER = {"viewer.exe": b"MZ" + bytes(500), "README.TXT": b"Insert the disc."}


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox and a network that accepts every image, whose clock shows the real time."""
    ledger_driver.clock.now = utc_now()
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def scans(*numbers: int) -> dict[str, bytes]:
    """Return the files of a study, with names as on a CD."""
    return {f"DICOM/IM{number:06}": phantom(number) for number in numbers}


def spool(worker_driver: WorkerDriver) -> list[Path]:
    """Return all paths in the spool."""
    return sorted(worker_driver.settings().spool_folder.rglob("*"))


def outcomes(worker_driver: WorkerDriver) -> Counter[tuple[str, str | None]]:
    """Count the arrivals by state and reason."""
    return Counter((row.state, row.reason) for row in worker_driver.ledger_driver.work())


def analyse_all(worker_driver: WorkerDriver, **options: object) -> Counter[tuple[str, str | None]]:
    """Analyse until no work is left, and return the outcomes."""
    context = worker_driver.context(**options)
    while worker_driver.analyse(context):
        continue
    return outcomes(worker_driver)


def requeue(worker_driver: WorkerDriver) -> int:
    """Requeue the images of the worker process, as its successor does, and return their number."""
    driver = worker_driver.ledger_driver
    return ledger.requeue_predecessor(driver.database, driver.process, now=driver.clock())


@pytest.mark.parametrize("pack", [zip_file, tar_file, tar_gz_file])
def test_each_file_in_an_archive_becomes_an_arrival(worker_driver: WorkerDriver, pack: object) -> None:
    """Its parent is the archive; other files in the archive do not count as defective, and the counts add up."""
    worker_driver.put(**{"disc.bin": pack(scans(1, 2, 3) | VIEWER)})  # type: ignore[operator]
    found = analyse_all(worker_driver)
    assert found == {("expanded", None): 1, ("done", None): 3, ("rejected", "media_file"): 2}
    archive, *members = worker_driver.ledger_driver.instances()
    assert [member.parent_id for member in members] == [archive.id] * 5
    assert worker_driver.ledger_driver.work()[0].detail == "5 files were unpacked from the archive."
    tally = queries.tally(worker_driver.ledger_driver.database)
    assert (tally.arrived, tally.expanded, tally.adds_up) == (6, 1, True)
    assert list(queries.violations(worker_driver.ledger_driver.database)) == []


def test_the_lease_is_renewed_for_empty_files_too(worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file takes some milliseconds to write, and there may be thousands."""
    renewals = Counter[str]()
    monkeypatch.setattr(WorkerContext, "keep_lease", lambda _context, batch_id: renewals.update([batch_id]))
    worker_driver.put(disc=zip_file({str(number): b"" for number in range(30)}))
    worker_driver.analyse(worker_driver.context())
    assert max(renewals.values()) >= 30


def test_a_program_on_a_cd_is_not_defective(worker_driver: WorkerDriver) -> None:
    """Viewers written in Java are zip files. They are not unpacked, and on a CD they do not count as defective."""
    viewer = zip_file({"META-INF/MANIFEST.MF": b"Main-Class: Viewer"})
    worker_driver.put(disc=zip_file(scans(1) | {"viewer.jar": viewer}), alone=viewer)
    assert analyse_all(worker_driver) == {
        ("expanded", None): 1,
        ("done", None): 1,
        ("rejected", "media_file"): 1,
        ("rejected", "not_dicom"): 1,
    }


def test_unsupported_compressed_files_in_an_archive_are_defective(worker_driver: WorkerDriver) -> None:
    """They may contain images, so they count as defective and not as media files."""
    worker_driver.put(
        disc=zip_file({"scan.dcm.gz": gzip.compress(phantom(1)), "scans.tar.bz2": bz2.compress(tar_file(scans(2)))})
    )
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("rejected", "not_dicom"): 2}


def test_members_inherit_priority_and_origin(worker_driver: WorkerDriver) -> None:
    """A member has the priority and the original source of the outermost archive, at any depth."""
    inner = zip_file(scans(2))
    worker_driver.put(outer=zip_file(scans(1) | {"inner.zip": inner}))
    worker_driver.analyse(worker_driver.context())
    worker_driver.analyse(worker_driver.context())
    (batch,) = worker_driver.form()
    (image,) = worker_driver.ledger_driver.claim(batch)
    assert (image.source, image.origin) == ("archives", "inbox")
    assert {row.priority for row in worker_driver.ledger_driver.work()} == {5}


def test_a_truncated_member_is_not_retried(worker_driver: WorkerDriver) -> None:
    """The archive was complete, so the rest of the member cannot arrive later."""
    worker_driver.put(disc=zip_file({"a": phantom(1), "b": phantom(2)[:3000]}))
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("done", None): 1, ("rejected", "truncated"): 1}
    assert max(row.attempts for row in worker_driver.ledger_driver.work()) == 1


def test_a_tally_of_some_sources_counts_the_members_of_their_archives(worker_driver: WorkerDriver) -> None:
    """`run` waits for these members, and not for images of other sources."""
    driver = worker_driver.ledger_driver
    now = driver.clock()
    other = ledger.ensure_source(driver.database, name="other", kind="folder", root="/other", now=now)
    worker_driver.put(nested=zip_file(scans(1, 2) | {"inner.zip": zip_file(scans(3))}))
    worker_driver.ledger_driver.source_id = other
    worker_driver.ledger_driver.register(build_arrivals(5))
    own = [row.id for row in queries.sources(worker_driver.ledger_driver.database) if row.name == "inbox"]
    context = worker_driver.context()
    for members, unfinished in ((0, 1), (3, 3)):
        counted = queries.tally(worker_driver.ledger_driver.database, own)
        assert (counted.arrived, counted.unfinished, counted.adds_up) == (1 + members, unfinished, True)
        assert queries.unfinished(worker_driver.ledger_driver.database, own) == unfinished
        worker_driver.analyse(context)
    assert queries.tally(worker_driver.ledger_driver.database, [other]).arrived == 5
    assert sum(images for *_, images in queries.reasons(worker_driver.ledger_driver.database, own)) == 0


def test_nested_archives_are_unpacked_up_to_a_limit(worker_driver: WorkerDriver) -> None:
    """An archive that is nested in two others is rejected."""
    innermost = zip_file(scans(1))
    for _ in range(2):
        innermost = zip_file({"more.zip": innermost})
    worker_driver.put(nested=innermost)
    assert analyse_all(worker_driver) == {("expanded", None): 2, ("rejected", "archive_limits"): 1}


def test_the_limits_apply_to_nested_archives_together(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each of a thousand nested archives could contain as much as one archive may."""
    monkeypatch.setattr(expand_module, "MAX_MEMBERS", 5)
    worker_driver.put(nested=zip_file({"a.zip": zip_file(scans(1, 2, 3)), "b.zip": zip_file(scans(4, 5, 6))}))
    assert analyse_all(worker_driver) == {("expanded", None): 2, ("done", None): 3, ("rejected", "archive_limits"): 1}


def test_the_same_archive_again_is_a_duplicate(worker_driver: WorkerDriver) -> None:
    """This also holds in one batch; its members become arrivals once."""
    data = zip_file(scans(1, 2))
    worker_driver.put(first=data, second=data)
    analyse_all(worker_driver)
    worker_driver.put(third=data)
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("duplicate", None): 2, ("done", None): 2}
    assert list(queries.violations(worker_driver.ledger_driver.database)) == []


def test_unpacked_files_are_removed_after_their_time(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This includes files of a copied archive, which are not in the database, but no file that waits for analysis."""
    monkeypatch.setattr("producer.spool.spool.FOLDER_FILES", 2)
    data = zip_file(scans(1, 2, 3))
    worker_driver.put(first=data, second=data)
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("duplicate", None): 1, ("done", None): 3}
    worker_driver.put(third=zip_file(scans(4)))
    (batch,) = worker_driver.form()
    context = worker_driver.context()
    monkeypatch.setattr(ledger, "record", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        analyse(context, batch.id)
    assert len([path for path in spool(worker_driver) if path.is_file()]) == 3 + 3 + 1
    database, clock = worker_driver.ledger_driver.database, worker_driver.ledger_driver.clock
    settings = worker_driver.settings(spool_keep_days=3)
    assert purge_unpacked(database, settings, clock=clock) == 0
    clock.advance(days=5)
    assert purge_unpacked(database, settings, clock=clock) == 3
    assert len([path for path in spool(worker_driver) if path.is_file()]) == 1


def test_hostile_archives_leave_no_files_behind(worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """They get a reason, no file is in the spool or outside of it, and the image beside them is done."""
    monkeypatch.setattr(expand_module, "MIN_TOTAL_LIMIT_BYTES", 1024**2)
    worker_driver.put(
        zip_that_escapes=zip_file(scans(1) | {"../../escaped": b"1"}),
        tar_that_escapes=tar_file(scans(1) | {"../../escaped": b"1"}),
        link=tar_member(b"2", linkname="/etc/passwd"),
        bomb=zip_file(scans(1) | {"zeros": bytes(20 * 1024**2)}),
        locked=encrypted(zip_file(scans(1))),
        half=tar_file(scans(1, 2))[:20_000],
        scan=phantom(9),
    )
    before = {path for path in worker_driver.folder.rglob("*") if path.is_file() and path.parent == worker_driver.inbox}
    analyse_all(worker_driver, arrival_timeout_seconds=0)
    assert worker_driver.outcomes() == {
        "zip_that_escapes": ("rejected", "archive_escapes"),
        "tar_that_escapes": ("rejected", "archive_escapes"),
        "link": ("rejected", "archive_escapes"),
        "bomb": ("rejected", "archive_limits"),
        "locked": ("rejected", "bad_archive"),
        "half": ("rejected", "truncated"),
        "scan": ("done", None),
    }
    files = [path for path in worker_driver.folder.rglob("*") if path.is_file()]
    after = {path for path in files if not path.name.startswith("nightread.sqlite")}
    assert after == before


def test_files_unpacked_before_a_crash_are_reused(worker_driver: WorkerDriver) -> None:
    """The next process that gets the archive uses the same files as members, and makes no others."""
    worker_driver.put(disc=zip_file(scans(1, 2)))
    (batch,) = worker_driver.form()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "record", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            analyse(worker_driver.context(), batch.id)
    unpacked = {path: path.stat().st_mtime_ns for path in spool(worker_driver) if path.is_file()}
    assert len(unpacked) == 2
    assert requeue(worker_driver) == 1
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("done", None): 2}
    assert {path: path.stat().st_mtime_ns for path in spool(worker_driver) if path.is_file()} == unpacked
    assert [row.member_name for row in worker_driver.ledger_driver.instances()] == [None, *scans(1, 2)]


def test_a_partly_unpacked_archive_is_unpacked_again(worker_driver: WorkerDriver) -> None:
    """Partial folders of the same archive are removed, and all that are older than a day."""
    worker_driver.put(disc=zip_file(scans(1, 2)))
    root = worker_driver.settings().spool_folder / "archives"
    for name in (".partial-1-a", ".partial-77-b"):
        (root / name).mkdir(parents=True)
        (root / name / "000001.dcm").write_bytes(b"half")
    os.utime(root / ".partial-77-b", (0, 0))
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("done", None): 2}
    assert [path.name for path in root.iterdir() if path.name.startswith(".")] == []


def test_a_full_disk_does_not_fail_the_archive(worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive is retried, and no partial files remain."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    worker_driver.put(disc=zip_file(scans(1)))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        worker_driver.analyse(worker_driver.context())
    assert outcomes(worker_driver) == {("received", "no_room"): 1}
    assert [path for path in spool(worker_driver) if path.is_file()] == []
    assert analyse_all(worker_driver)["done", None] == 1


def test_the_disk_reserve_is_respected(worker_driver: WorkerDriver) -> None:
    """Unpacking stops before the free space falls below the reserve."""
    worker_driver.put(disc=zip_file(scans(1)))
    worker_driver.analyse(worker_driver.context(disk_reserve_bytes=2**60))
    assert outcomes(worker_driver) == {("received", "no_room"): 1}


def test_a_second_delivery_adds_nothing(worker_driver: WorkerDriver) -> None:
    """The second delivery of the batch claims no image, so there are no new members."""
    worker_driver.put(disc=zip_file(scans(1, 2)))
    (batch,) = worker_driver.form()
    assert analyse(worker_driver.context(), batch.id).counts == {"expanded": 1}
    assert analyse(worker_driver.context(), batch.id).counts == {}
    assert len(worker_driver.ledger_driver.instances()) == 3


def test_an_archive_that_was_requeued_meanwhile_registers_no_members(worker_driver: WorkerDriver) -> None:
    """The process that claims it next registers them, and finds the unpacked files."""
    worker_driver.put(disc=zip_file(scans(1, 2)))
    (batch,) = worker_driver.form()
    record = ledger.record

    def too_late(*arguments: Any, **named: Any) -> Counter[str]:
        requeue(worker_driver)
        return record(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "record", too_late)
        assert analyse(worker_driver.context(), batch.id).counts == {}
    assert len(worker_driver.ledger_driver.instances()) == 1
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("done", None): 2}


def _interrupt(*_arguments: object, **_named: object) -> None:
    raise KeyboardInterrupt
