"""An archive in an inbox becomes arrivals: all of them, once."""

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
    """An empty inbox and a network that is content with everything; files that arrive now are not of the future."""
    ledger_driver.clock.now = utc_now()
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def scans(*numbers: int) -> dict[str, bytes]:
    """Files of a study, as a CD has them."""
    return {f"DICOM/IM{number:06}": phantom(number) for number in numbers}


def spool(worker_driver: WorkerDriver) -> list[Path]:
    """Everything below the spool."""
    return sorted(worker_driver.settings().spool_folder.rglob("*"))


def outcomes(worker_driver: WorkerDriver) -> Counter[tuple[str, str | None]]:
    """How many arrivals have which state and reason."""
    return Counter((row.state, row.reason) for row in worker_driver.ledger_driver.work())


def analyse_all(worker_driver: WorkerDriver, **knobs: object) -> Counter[tuple[str, str | None]]:
    """Analyse until nothing is left to do."""
    context = worker_driver.context(**knobs)
    while worker_driver.analyse(context):
        continue
    return outcomes(worker_driver)


@pytest.mark.parametrize("pack", [zip_file, tar_file, tar_gz_file])
def test_each_file_in_an_archive_is_an_arrival_of_its_own(worker_driver: WorkerDriver, pack: object) -> None:
    """With the archive as parent; what lies beside the images raises no alarm, and the counts add up."""
    worker_driver.put(**{"disc.bin": pack(scans(1, 2, 3) | VIEWER)})  # type: ignore[operator]
    found = analyse_all(worker_driver)
    assert found == {("expanded", None): 1, ("done", None): 3, ("rejected", "media_file"): 2}
    archive, *members = worker_driver.ledger_driver.instances()
    assert [member.parent_id for member in members] == [archive.id] * 5
    assert worker_driver.ledger_driver.work()[0].detail == "5 files were unpacked from the archive."
    tally = queries.tally(worker_driver.ledger_driver.database)
    assert (tally.arrived, tally.expanded, tally.adds_up) == (6, 1, True)
    assert list(queries.violations(worker_driver.ledger_driver.database)) == []


def test_the_lease_is_kept_for_files_without_a_byte_too(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of thousands costs the disk some milliseconds."""
    renewals = Counter[str]()
    monkeypatch.setattr(WorkerContext, "keep_lease", lambda _context, batch_id: renewals.update([batch_id]))
    worker_driver.put(disc=zip_file({str(number): b"" for number in range(30)}))
    worker_driver.analyse(worker_driver.context())
    assert max(renewals.values()) >= 30


def test_a_program_on_a_disc_is_no_defect(worker_driver: WorkerDriver) -> None:
    """Viewers written in Java are zip files that are left alone, and raise no alarm."""
    viewer = zip_file({"META-INF/MANIFEST.MF": b"Main-Class: Viewer"})
    worker_driver.put(disc=zip_file(scans(1) | {"viewer.jar": viewer}), alone=viewer)
    assert analyse_all(worker_driver) == {
        ("expanded", None): 1,
        ("done", None): 1,
        ("rejected", "media_file"): 1,
        ("rejected", "not_dicom"): 1,
    }


def test_what_is_packed_in_a_way_that_we_do_not_take_is_no_mere_viewer(worker_driver: WorkerDriver) -> None:
    """There may be images in it, of which somebody should hear."""
    worker_driver.put(
        disc=zip_file({"scan.dcm.gz": gzip.compress(phantom(1)), "scans.tar.bz2": bz2.compress(tar_file(scans(2)))})
    )
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("rejected", "not_dicom"): 2}


def test_members_inherit_priority_and_origin(worker_driver: WorkerDriver) -> None:
    """Rules and queues know where the archive came from, however deep an image lay in it."""
    inner = zip_file(scans(2))
    worker_driver.put(outer=zip_file(scans(1) | {"inner.zip": inner}))
    worker_driver.analyse(worker_driver.context())
    worker_driver.analyse(worker_driver.context())
    (batch,) = worker_driver.form()
    (image,) = worker_driver.ledger_driver.claim(batch)
    assert (image.source, image.origin) == ("archives", "inbox")
    assert {row.priority for row in worker_driver.ledger_driver.work()} == {5}


def test_a_truncated_member_is_not_waited_for(worker_driver: WorkerDriver) -> None:
    """An archive that is whole gave all that it had."""
    worker_driver.put(disc=zip_file({"a": phantom(1), "b": phantom(2)[:3000]}))
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("done", None): 1, ("rejected", "truncated"): 1}
    assert max(row.attempts for row in worker_driver.ledger_driver.work()) == 1


def test_a_tally_of_some_sources_counts_what_their_archives_held(worker_driver: WorkerDriver) -> None:
    """So that `run` waits for all of it, and for nobody else's."""
    other = ledger.ensure_source(
        worker_driver.ledger_driver.database,
        name="other",
        kind="folder",
        root="/other",
        now=worker_driver.ledger_driver.clock(),
    )
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


def test_archives_in_archives_are_taken_apart_but_not_for_ever(worker_driver: WorkerDriver) -> None:
    """The third within each other is refused."""
    innermost = zip_file(scans(1))
    for _ in range(2):
        innermost = zip_file({"more.zip": innermost})
    worker_driver.put(nested=innermost)
    assert analyse_all(worker_driver) == {("expanded", None): 2, ("rejected", "archive_limits"): 1}


def test_what_comes_out_of_nested_archives_counts_together(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each of a thousand archives in one could hold as much as the one may."""
    monkeypatch.setattr(expand_module, "MAX_MEMBERS", 5)
    worker_driver.put(nested=zip_file({"a.zip": zip_file(scans(1, 2, 3)), "b.zip": zip_file(scans(4, 5, 6))}))
    found = analyse_all(worker_driver)
    assert found == {("expanded", None): 2, ("done", None): 3, ("rejected", "archive_limits"): 1}


def test_the_same_archive_again_is_a_duplicate(worker_driver: WorkerDriver) -> None:
    """Also in the same batch; its members come once."""
    data = zip_file(scans(1, 2))
    worker_driver.put(first=data, second=data)
    found = analyse_all(worker_driver)
    worker_driver.put(third=data)
    found = analyse_all(worker_driver)
    assert found == {("expanded", None): 1, ("duplicate", None): 2, ("done", None): 2}
    assert list(queries.violations(worker_driver.ledger_driver.database)) == []


def test_what_came_out_of_archives_is_removed_after_its_time(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a copy that was unpacked beside its original too, of which the ledger never heard; but not while it waits."""
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
    database, settings, clock = (
        worker_driver.ledger_driver.database,
        worker_driver.settings(spool_keep_days=3),
        worker_driver.ledger_driver.clock,
    )
    assert purge_unpacked(database, settings, clock=clock) == 0
    clock.advance(days=5)
    assert purge_unpacked(database, settings, clock=clock) == 3
    assert len([path for path in spool(worker_driver) if path.is_file()]) == 1


def test_what_hostile_archives_leave_behind_are_reasons(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else: no file in the spool and none outside of it. Their neighbour is done."""
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
    after = {
        path
        for path in worker_driver.folder.rglob("*")
        if path.is_file() and not path.name.startswith("nightread.sqlite")
    }
    assert after == before


def test_what_was_unpacked_before_a_crash_is_found(worker_driver: WorkerDriver) -> None:
    """Whoever is given the archive next takes the same files for its members, and leaves no others."""
    worker_driver.put(disc=zip_file(scans(1, 2)))
    (batch,) = worker_driver.form()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "record", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            analyse(worker_driver.context(), batch.id)
    unpacked = {path: path.stat().st_mtime_ns for path in spool(worker_driver) if path.is_file()}
    assert len(unpacked) == 2
    assert (
        ledger.requeue_predecessor(
            worker_driver.ledger_driver.database,
            worker_driver.ledger_driver.process,
            now=worker_driver.ledger_driver.clock(),
        )
        == 1
    )
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("done", None): 2}
    assert {path: path.stat().st_mtime_ns for path in spool(worker_driver) if path.is_file()} == unpacked


def test_what_was_half_unpacked_is_made_anew(worker_driver: WorkerDriver) -> None:
    """What another left of the same archive is removed, and what is older than a day."""
    worker_driver.put(disc=zip_file(scans(1, 2)))
    root = worker_driver.settings().spool_folder / "archives"
    for name in (".partial-1-a", ".partial-77-b"):
        (root / name).mkdir(parents=True)
        (root / name / "000001.dcm").write_bytes(b"half")
    os.utime(root / ".partial-77-b", (0, 0))
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("done", None): 2}
    assert [path.name for path in root.iterdir() if path.name.startswith(".")] == []


def test_a_full_disk_is_no_fault_of_the_archive(worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again, and nothing half is left."""

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
    """Before the disk is full."""
    worker_driver.put(disc=zip_file(scans(1)))
    worker_driver.analyse(worker_driver.context(disk_reserve_bytes=2**60))
    assert outcomes(worker_driver) == {("received", "no_room"): 1}


def test_a_second_delivery_adds_nothing(worker_driver: WorkerDriver) -> None:
    """The same batch again claims nothing, and the same members again are known."""
    worker_driver.put(disc=zip_file(scans(1, 2)))
    (batch,) = worker_driver.form()
    assert analyse(worker_driver.context(), batch.id) == {"expanded": 1}
    assert analyse(worker_driver.context(), batch.id) == {}
    assert len(worker_driver.ledger_driver.instances()) == 3


def test_an_archive_that_was_taken_back_meanwhile_registers_nothing(worker_driver: WorkerDriver) -> None:
    """Its new owner speaks for it, and finds the files."""
    worker_driver.put(disc=zip_file(scans(1, 2)))
    (batch,) = worker_driver.form()
    record = ledger.record

    def too_late(*arguments: Any, **named: Any) -> Counter[str]:
        ledger.requeue_predecessor(
            worker_driver.ledger_driver.database,
            worker_driver.ledger_driver.process,
            now=worker_driver.ledger_driver.clock(),
        )
        return record(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "record", too_late)
        assert analyse(worker_driver.context(), batch.id) == {}
    assert len(worker_driver.ledger_driver.instances()) == 1
    assert analyse_all(worker_driver) == {("expanded", None): 1, ("done", None): 2}


def _interrupt(*_arguments: object, **_named: object) -> None:
    raise KeyboardInterrupt
