"""A folder returns complete files, and each of them once."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from monotonic import ManualMonotonic

from db.ledger import Arrival
from nightread.paths import path_of
from nightread.settings import Settings, load_settings
from producer.folders.folder import Folder
from producer.folders.walk import RootMissing

STRANGE = [b"a b.dcm", b"new\nline", b"\xff\xfe.dcm", b"%41", "\N{SNOWMAN}".encode(), b"x" * 255, b"-rf", b"a\\b"]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(state_dir=tmp_path / "state", settle_seconds=2, temporary_alert_seconds=3600)


@pytest.fixture
def complete(inbox: Path, settings: Settings) -> Folder:
    """The inbox as `nightread run` scans it."""
    return Folder.from_path(inbox, settings)


def uris(chunks: Iterable[list[Arrival]]) -> list[str]:
    return sorted(arrival.uri for chunk in chunks for arrival in chunk)


def test_all_files_are_returned_once(complete: Folder, inbox: Path) -> None:
    """A second scan returns nothing, and counts the files present."""
    (inbox / "s").mkdir()
    (inbox / "a.dcm").write_bytes(b"abc")
    (inbox / "s" / "b.dcm").touch()
    arrivals = {arrival.uri: arrival for chunk in complete.scan() for arrival in chunk}
    assert arrivals["a.dcm"] == Arrival(uri="a.dcm", size=3, mtime_ns=(inbox / "a.dcm").stat().st_mtime_ns)
    assert sorted(arrivals) == ["a.dcm", "s/b.dcm"]
    assert uris(complete.scan()) == []
    assert complete.report.known == 2


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_name_leads_back_to_its_file(complete: Folder, inbox: Path, name: bytes) -> None:
    """The URI of a file with any name opens that file."""
    (inbox / os.fsdecode(name)).write_bytes(b"content")
    (uri,) = uris(complete.scan())
    assert Path(os.fsdecode(path_of(inbox, uri))).read_bytes() == b"content"


def test_a_large_folder_comes_in_chunks(inbox: Path, settings: Settings) -> None:
    """One chunk has at most 1,000 files, for one transaction."""
    for number in range(2500):
        (inbox / str(number)).touch()
    folder = Folder(inbox, settings, settle=False, monotonic=ManualMonotonic())
    assert [len(chunk) for chunk in folder.scan() if chunk] == [1000, 1000, 500]


def test_a_chunk_that_was_not_registered_is_returned_again(inbox: Path, settings: Settings) -> None:
    """The consumer stopped while it held a chunk, so none of its files counts as known."""
    for number in range(1500):
        (inbox / str(number)).touch()
    folder = Folder(inbox, settings, settle=False, monotonic=ManualMonotonic())
    held = folder.scan()
    assert len(next(chunk for chunk in held if chunk)) == 1000
    held.close()
    assert len(uris(folder.scan())) == 1500


def test_a_changed_file_is_returned_again(complete: Folder, inbox: Path) -> None:
    """Another size or time at the same path is another arrival; the old one is forgotten."""
    (inbox / "a").write_bytes(b"1")
    list(complete.scan())
    (inbox / "a").write_bytes(b"12")
    assert uris(complete.scan()) == ["a"]
    assert complete.report.known == 1


def test_after_forget_all_files_are_returned_again(complete: Folder, inbox: Path) -> None:
    """The database may have lost arrivals that were registered."""
    (inbox / "a").touch()
    list(complete.scan())
    complete.forget()
    assert uris(complete.scan()) == ["a"]


def test_a_slow_walk_yields_chunks_at_intervals(inbox: Path, settings: Settings) -> None:
    """Empty chunks are yielded too, so that the consumer can stop."""
    for number in range(10):
        (inbox / str(number)).touch()
    ticks = iter(range(10_000))
    folder = Folder(inbox, settings, settle=False, monotonic=lambda: next(ticks) * 0.3)
    assert len(list(folder.scan())) >= 10
    assert [chunk for chunk in folder.scan() if chunk] == []


def test_a_chunk_is_yielded_when_its_time_is_over(inbox: Path, settings: Settings) -> None:
    """After 0.2 s and not before. The time begins again with each chunk, also after the last one."""
    for name in ("a", "b", "c"):
        (inbox / name).touch()
    for seconds, sizes in ((0.2, [1, 2]), (0.199, [3])):
        clock = ManualMonotonic(now=0.0)
        folder = Folder(inbox, settings, settle=False, monotonic=clock)

        def wait(_folder: bytes, clock: ManualMonotonic = clock, seconds: float = seconds) -> None:
            clock.now = seconds

        assert [len(chunk) for chunk in folder.scan(wait)] == sizes
        assert folder.report.seconds == seconds


def test_a_file_is_taken_once_it_stayed_unchanged(inbox: Path, settings: Settings) -> None:
    """Two seconds of our own clock count; the file's modification time does not."""
    clock = ManualMonotonic()
    folder = Folder(inbox, settings, monotonic=clock)
    (inbox / "a").write_bytes(b"1")
    os.utime(inbox / "a", (4e9, 4e9))
    assert uris(folder.scan()) == []
    assert folder.report.pending == 1
    clock.now += 1.9
    assert uris(folder.scan()) == []
    clock.now += 0.1
    assert uris(folder.scan()) == ["a"]
    assert (folder.report.pending, folder.report.known) == (0, 1)


def test_a_growing_file_is_not_taken(inbox: Path, settings: Settings) -> None:
    """Each change starts the settling time again."""
    clock = ManualMonotonic()
    folder = Folder(inbox, settings, monotonic=clock)
    with (inbox / "a").open("wb") as file:
        for _ in range(5):
            file.write(b"more")
            file.flush()
            assert uris(folder.scan()) == []
            clock.now += 1.5
    clock.now += 2
    assert uris(folder.scan()) == ["a"]


def test_a_vanished_file_that_comes_back_waits_anew(inbox: Path, settings: Settings) -> None:
    """A file that one scan did not find is forgotten."""
    clock = ManualMonotonic()
    folder = Folder(inbox, settings, monotonic=clock)
    (inbox / "a").touch()
    status = (inbox / "a").stat()
    list(folder.scan())
    (inbox / "a").unlink()
    list(folder.scan())
    assert folder.report.pending == 0
    (inbox / "a").touch()
    os.utime(inbox / "a", ns=(status.st_mtime_ns, status.st_mtime_ns))
    clock.now += 10
    assert uris(folder.scan()) == []


def test_a_cold_start_takes_old_files_at_once(inbox: Path, settings: Settings) -> None:
    """The first scan takes files that are an hour old; later files must settle, whatever their modification time."""
    clock, wall = ManualMonotonic(), ManualMonotonic()
    wall.now = (inbox.stat().st_mtime) + 3600
    folder = Folder(inbox, settings, monotonic=clock, wall=wall)
    (inbox / "old").touch()
    assert uris(folder.scan()) == ["old"]
    (inbox / "late").touch()
    assert uris(folder.scan()) == []


def test_a_time_set_back_does_not_make_a_file_old(inbox: Path, settings: Settings) -> None:
    """Copying programs set the old modification time while the copy may still be incomplete."""
    (inbox / "copy").touch()
    os.utime(inbox / "copy", (1e9, 1e9))
    assert uris(Folder(inbox, settings).scan()) == []


def test_a_completed_file_that_is_named_is_taken_at_once(inbox: Path, settings: Settings) -> None:
    """A file of a close event is returned without a scan or a wait, and the next scan knows it."""
    clock = ManualMonotonic()
    folder = Folder(inbox, settings, monotonic=clock)
    (inbox / "s").mkdir()
    (inbox / "s" / "a").touch()
    assert uris(folder.scan_paths([b"s/a"])) == ["s/a"]
    assert uris(folder.scan_paths([b"s/a", b"gone", b"s"])) == []
    clock.now += 10
    assert uris(folder.scan()) == []
    assert (folder.report.known, folder.report.pending) == (1, 0)


def test_a_file_that_is_named_during_a_scan_stays_known(complete: Folder, inbox: Path) -> None:
    """A scan that was running when the file arrived does not forget the file."""
    (inbox / "first").touch()
    scan = complete.scan()
    next(scan)
    (inbox / "late").touch()
    assert uris(complete.scan_paths([b"late"])) == ["late"]
    list(scan)
    assert uris(complete.scan()) == []
    assert complete.report.known == 2


@pytest.mark.parametrize("name", ["a.dcm.part", "a.PART", "a.Tmp", ".a.dcm.Xy12", ".DS_Store", "a.filepart"])
def test_a_temporary_name_is_counted_and_not_taken(complete: Folder, inbox: Path, name: str) -> None:
    """Neither a scan nor an event returns it; after it is renamed, a scan does."""
    (inbox / name).touch()
    assert uris(complete.scan()) == []
    assert uris(complete.scan_paths([os.fsencode(name)])) == []
    assert (complete.report.temporary, complete.report.temporary_old) == (1, 0)
    (inbox / name).rename(inbox / "a.dcm")
    assert uris(complete.scan()) == ["a.dcm"]


def test_an_old_temporary_name_is_reported(complete: Folder, inbox: Path) -> None:
    """A transfer broke off two hours ago."""
    (inbox / "a.part").touch()
    then = (inbox / "a.part").stat().st_mtime - 7200
    os.utime(inbox / "a.part", (then, then))
    list(complete.scan())
    assert complete.report.temporary_old == 1
    assert complete.report.temporary_oldest_seconds == pytest.approx(7200, abs=60)


def test_a_missing_root_is_reported_until_it_is_back(complete: Folder, inbox: Path) -> None:
    """The known files stay known until the root is back."""
    (inbox / "a").touch()
    list(complete.scan())
    inbox.rename(inbox.with_name("away"))
    with pytest.raises(RootMissing):
        list(complete.scan())
    assert complete.report.root_missing
    assert complete.report.known == 1
    inbox.with_name("away").rename(inbox)
    assert uris(complete.scan()) == []
    assert not complete.report.root_missing


def test_an_emptied_root_is_reported_until_files_are_back(complete: Folder, inbox: Path) -> None:
    """An empty root may be the mount point of a folder that is not mounted."""
    (inbox / "a").touch()
    list(complete.scan())
    (inbox / "a").unlink()
    for _ in range(2):
        assert uris(complete.scan()) == []
        assert complete.report.root_emptied
    (inbox / "a").touch()
    assert uris(complete.scan()) == ["a"]
    assert not complete.report.root_emptied


def test_a_scan_broken_off_by_a_missing_root_keeps_the_waiting_files(inbox: Path, settings: Settings) -> None:
    """After a short loss of the mount, the files need not settle from the beginning."""
    clock = ManualMonotonic()
    folder = Folder(inbox, settings, monotonic=clock)
    (inbox / "a").touch()
    list(folder.scan())
    inbox.rename(inbox.with_name("away"))
    with pytest.raises(RootMissing):
        list(folder.scan())
    inbox.with_name("away").rename(inbox)
    clock.now += 2
    assert uris(folder.scan()) == ["a"]


def test_memory_follows_the_files_present(complete: Folder, inbox: Path) -> None:
    """Removed files are not kept in memory."""
    for round_number in range(3):
        study = inbox / str(round_number)
        study.mkdir()
        for number in range(20):
            (study / str(number)).touch()
        assert len(uris(complete.scan())) == 20
        shutil.rmtree(study)
    list(complete.scan())
    assert len(complete._known) == 0
