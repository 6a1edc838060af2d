"""An archive in an inbox becomes arrivals: all of them, once."""

import bz2
import errno
import gzip
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from night import Night, build_arrivals
from packed import encrypted, taped, taped_and_zipped, taped_member, zipped
from scans import phantom
from worker_bench import Bench

from db import ledger, queries
from nightread.clock import utc_now
from producer.unpacked import purge_unpacked
from worker import expand as expand_module
from worker.analyse import analyse
from worker.desk import Desk

VIEWER = {"viewer.exe": b"MZ" + bytes(500), "README.TXT": b"Insert the disc."}


@pytest.fixture
def bench(night: Night, tmp_path: Path, redis_url: str, bundle_id: int) -> Bench:
    """An empty inbox and a network that is content with everything; files that arrive now are not of the future."""
    night.clock.now = utc_now()
    return Bench(night=night, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def scans(*numbers: int) -> dict[str, bytes]:
    """Files of a study, as a CD has them."""
    return {f"DICOM/IM{number:06}": phantom(number) for number in numbers}


def spool(bench: Bench) -> list[Path]:
    """Everything below the spool."""
    return sorted(bench.settings().spool_folder.rglob("*"))


def fates(bench: Bench) -> Counter[tuple[str, str | None]]:
    """How many arrivals have which state and reason."""
    return Counter((row.state, row.reason) for row in bench.night.work())


def all_through(bench: Bench, **knobs: object) -> Counter[tuple[str, str | None]]:
    """Analyse until nothing is left to do."""
    desk = bench.desk(**knobs)
    while bench.analyse(desk):
        continue
    return fates(bench)


@pytest.mark.parametrize("pack", [zipped, taped, taped_and_zipped])
def test_each_file_in_an_archive_is_an_arrival_of_its_own(bench: Bench, pack: object) -> None:
    """With the archive as parent; what lies beside the images raises no alarm, and the counts add up."""
    bench.put(**{"disc.bin": pack(scans(1, 2, 3) | VIEWER)})  # type: ignore[operator]
    found = all_through(bench)
    assert found == {("expanded", None): 1, ("done", None): 3, ("rejected", "media_file"): 2}
    archive, *members = bench.night.instances()
    assert [member.parent_id for member in members] == [archive.id] * 5
    assert bench.night.work()[0].detail == "5 files came out of it."
    tally = queries.tally(bench.night.database)
    assert (tally.arrived, tally.expanded, tally.adds_up) == (6, 1, True)
    assert list(queries.violations(bench.night.database)) == []


def test_the_lease_is_kept_for_files_without_a_byte_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of thousands costs the disk some milliseconds."""
    renewals = Counter[str]()
    monkeypatch.setattr(Desk, "keep_lease", lambda _desk, batch_id: renewals.update([batch_id]))
    bench.put(disc=zipped({str(number): b"" for number in range(30)}))
    bench.analyse(bench.desk())
    assert max(renewals.values()) >= 30


def test_a_program_on_a_disc_is_no_defect(bench: Bench) -> None:
    """Viewers written in Java are zip files that are left alone, and raise no alarm."""
    viewer = zipped({"META-INF/MANIFEST.MF": b"Main-Class: Viewer"})
    bench.put(disc=zipped(scans(1) | {"viewer.jar": viewer}), alone=viewer)
    assert all_through(bench) == {
        ("expanded", None): 1,
        ("done", None): 1,
        ("rejected", "media_file"): 1,
        ("rejected", "not_dicom"): 1,
    }


def test_what_is_packed_in_a_way_that_we_do_not_take_is_no_mere_viewer(bench: Bench) -> None:
    """There may be images in it, of which somebody should hear."""
    bench.put(disc=zipped({"scan.dcm.gz": gzip.compress(phantom(1)), "scans.tar.bz2": bz2.compress(taped(scans(2)))}))
    assert all_through(bench) == {("expanded", None): 1, ("rejected", "not_dicom"): 2}


def test_members_inherit_priority_and_origin(bench: Bench) -> None:
    """Rules and queues know where the archive came from, however deep an image lay in it."""
    inner = zipped(scans(2))
    bench.put(outer=zipped(scans(1) | {"inner.zip": inner}))
    bench.analyse(bench.desk())
    bench.analyse(bench.desk())
    (batch,) = bench.form()
    (image,) = bench.night.claim(batch)
    assert (image.source, image.origin) == ("archives", "inbox")
    assert {row.priority for row in bench.night.work()} == {5}


def test_a_truncated_member_is_not_waited_for(bench: Bench) -> None:
    """An archive that is whole gave all that it had."""
    bench.put(disc=zipped({"a": phantom(1), "b": phantom(2)[:3000]}))
    assert all_through(bench) == {("expanded", None): 1, ("done", None): 1, ("rejected", "truncated"): 1}
    assert max(row.attempts for row in bench.night.work()) == 1


def test_a_tally_of_some_sources_counts_what_their_archives_held(bench: Bench) -> None:
    """So that `run` waits for all of it, and for nobody else's."""
    other = ledger.ensure_source(
        bench.night.database, name="other", kind="folder", root="/other", now=bench.night.clock()
    )
    bench.put(nested=zipped(scans(1, 2) | {"inner.zip": zipped(scans(3))}))
    bench.night.source_id = other
    bench.night.register(build_arrivals(5))
    own = [row.id for row in queries.sources(bench.night.database) if row.name == "inbox"]
    desk = bench.desk()
    for members, unfinished in ((0, 1), (3, 3)):
        counted = queries.tally(bench.night.database, own)
        assert (counted.arrived, counted.unfinished, counted.adds_up) == (1 + members, unfinished, True)
        assert queries.unfinished(bench.night.database, own) == unfinished
        bench.analyse(desk)
    assert queries.tally(bench.night.database, [other]).arrived == 5
    assert sum(images for *_, images in queries.reasons(bench.night.database, own)) == 0


def test_archives_in_archives_are_taken_apart_but_not_for_ever(bench: Bench) -> None:
    """The third within each other is refused."""
    innermost = zipped(scans(1))
    for _ in range(2):
        innermost = zipped({"more.zip": innermost})
    bench.put(nested=innermost)
    assert all_through(bench) == {("expanded", None): 2, ("rejected", "archive_limits"): 1}


def test_what_comes_out_of_nested_archives_counts_together(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each of a thousand archives in one could hold as much as the one may."""
    monkeypatch.setattr(expand_module, "MOST_MEMBERS", 5)
    bench.put(nested=zipped({"a.zip": zipped(scans(1, 2, 3)), "b.zip": zipped(scans(4, 5, 6))}))
    found = all_through(bench)
    assert found == {("expanded", None): 2, ("done", None): 3, ("rejected", "archive_limits"): 1}


def test_the_same_archive_again_is_a_duplicate(bench: Bench) -> None:
    """Also in the same batch; its members come once."""
    data = zipped(scans(1, 2))
    bench.put(first=data, second=data)
    found = all_through(bench)
    bench.put(third=data)
    found = all_through(bench)
    assert found == {("expanded", None): 1, ("duplicate", None): 2, ("done", None): 2}
    assert list(queries.violations(bench.night.database)) == []


def test_what_came_out_of_archives_is_removed_after_its_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a copy that was unpacked beside its original too, of which the ledger never heard; but not while it waits."""
    monkeypatch.setattr("producer.spool.FOLDER_FILES", 2)
    data = zipped(scans(1, 2, 3))
    bench.put(first=data, second=data)
    assert all_through(bench) == {("expanded", None): 1, ("duplicate", None): 1, ("done", None): 3}
    bench.put(third=zipped(scans(4)))
    (batch,) = bench.form()
    desk = bench.desk()
    monkeypatch.setattr(ledger, "record", _die)
    with pytest.raises(KeyboardInterrupt):
        analyse(desk, batch.id)
    assert len([path for path in spool(bench) if path.is_file()]) == 3 + 3 + 1
    database, settings, clock = bench.night.database, bench.settings(spool_keep_days=3), bench.night.clock
    assert purge_unpacked(database, settings, clock=clock) == 0
    clock.advance(days=5)
    assert purge_unpacked(database, settings, clock=clock) == 3
    assert len([path for path in spool(bench) if path.is_file()]) == 1


def test_what_hostile_archives_leave_behind_are_reasons(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else: no file in the spool and none outside of it. Their neighbour is done."""
    monkeypatch.setattr(expand_module, "FREE_BYTES", 1024**2)
    bench.put(
        zip_that_escapes=zipped(scans(1) | {"../../escaped": b"1"}),
        tar_that_escapes=taped(scans(1) | {"../../escaped": b"1"}),
        link=taped_member(b"2", linkname="/etc/passwd"),
        bomb=zipped(scans(1) | {"zeros": bytes(20 * 1024**2)}),
        locked=encrypted(zipped(scans(1))),
        half=taped(scans(1, 2))[:20_000],
        scan=phantom(9),
    )
    before = {path for path in bench.folder.rglob("*") if path.is_file() and path.parent == bench.inbox}
    all_through(bench, arrival_timeout_seconds=0)
    assert bench.outcomes() == {
        "zip_that_escapes": ("rejected", "archive_escapes"),
        "tar_that_escapes": ("rejected", "archive_escapes"),
        "link": ("rejected", "archive_escapes"),
        "bomb": ("rejected", "archive_limits"),
        "locked": ("rejected", "bad_archive"),
        "half": ("rejected", "truncated"),
        "scan": ("done", None),
    }
    after = {
        path for path in bench.folder.rglob("*") if path.is_file() and not path.name.startswith("nightread.sqlite")
    }
    assert after == before


def test_what_was_unpacked_before_a_crash_is_found(bench: Bench) -> None:
    """Whoever is given the archive next takes the same files for its members, and leaves no others."""
    bench.put(disc=zipped(scans(1, 2)))
    (batch,) = bench.form()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "record", _die)
        with pytest.raises(KeyboardInterrupt):
            analyse(bench.desk(), batch.id)
    unpacked = {path: path.stat().st_mtime_ns for path in spool(bench) if path.is_file()}
    assert len(unpacked) == 2
    assert ledger.give_back_predecessor(bench.night.database, bench.night.process, now=bench.night.clock()) == 1
    assert all_through(bench) == {("expanded", None): 1, ("done", None): 2}
    assert {path: path.stat().st_mtime_ns for path in spool(bench) if path.is_file()} == unpacked


def test_what_was_half_unpacked_is_made_anew(bench: Bench) -> None:
    """What another left of the same archive is removed, and what is older than a day."""
    bench.put(disc=zipped(scans(1, 2)))
    root = bench.settings().spool_folder / "archives"
    for name in (".partial-1-a", ".partial-77-b"):
        (root / name).mkdir(parents=True)
        (root / name / "000001.dcm").write_bytes(b"half")
    os.utime(root / ".partial-77-b", (0, 0))
    assert all_through(bench) == {("expanded", None): 1, ("done", None): 2}
    assert [path.name for path in root.iterdir() if path.name.startswith(".")] == []


def test_a_full_disk_is_no_fault_of_the_archive(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again, and nothing half is left."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    bench.put(disc=zipped(scans(1)))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        bench.analyse(bench.desk())
    assert fates(bench) == {("received", "no_room"): 1}
    assert [path for path in spool(bench) if path.is_file()] == []
    assert all_through(bench)["done", None] == 1


def test_the_disk_reserve_is_respected(bench: Bench) -> None:
    """Before the disk is full."""
    bench.put(disc=zipped(scans(1)))
    bench.analyse(bench.desk(disk_reserve_bytes=2**60))
    assert fates(bench) == {("received", "no_room"): 1}


def test_a_second_delivery_adds_nothing(bench: Bench) -> None:
    """The same batch again claims nothing, and the same members again are known."""
    bench.put(disc=zipped(scans(1, 2)))
    (batch,) = bench.form()
    assert analyse(bench.desk(), batch.id) == {"expanded": 1}
    assert analyse(bench.desk(), batch.id) == {}
    assert len(bench.night.instances()) == 3


def test_an_archive_that_was_taken_back_meanwhile_registers_nothing(bench: Bench) -> None:
    """Its new owner speaks for it, and finds the files."""
    bench.put(disc=zipped(scans(1, 2)))
    (batch,) = bench.form()
    record = ledger.record

    def too_late(*arguments: Any, **named: Any) -> Counter[str]:
        ledger.give_back_predecessor(bench.night.database, bench.night.process, now=bench.night.clock())
        return record(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "record", too_late)
        assert analyse(bench.desk(), batch.id) == {}
    assert len(bench.night.instances()) == 1
    assert all_through(bench) == {("expanded", None): 1, ("done", None): 2}


def _die(*_arguments: object, **_named: object) -> None:
    raise KeyboardInterrupt
