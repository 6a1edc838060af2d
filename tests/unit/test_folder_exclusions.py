"""A folder never returns nightread's own files, and nothing while its share is away."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from monotonic import ManualMonotonic

from db.ledger import Arrival
from nightread.paths import ROOT_MARKER
from nightread.settings import Settings, load_settings
from producer.folders.folder import Folder
from producer.folders.walk import RootMissing


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(state_dir=tmp_path / "state", settle_seconds=2, temporary_alert_seconds=3600)


def uris(chunks: Iterable[list[Arrival]]) -> list[str]:
    return sorted(arrival.uri for chunk in chunks for arrival in chunk)


def test_an_event_while_the_marker_is_missing_returns_nothing(inbox: Path, settings: Settings) -> None:
    """The file is in the mount point, not on the share. With the marker it is returned."""
    folder = Folder(inbox, settings)
    (inbox / "a").touch()
    folder.marked = True
    assert uris(folder.scan_paths([b"a"])) == []
    (inbox / ROOT_MARKER).touch()
    assert uris(folder.scan_paths([b"a"])) == ["a"]


def test_an_event_in_a_folder_that_never_had_a_marker_is_taken(inbox: Path, settings: Settings) -> None:
    """Only a folder that once had its marker needs it."""
    (inbox / "a").touch()
    assert uris(Folder(inbox, settings).scan_paths([b"a"])) == ["a"]


def test_a_scan_without_the_marker_raises_and_keeps_what_is_known(inbox: Path, settings: Settings) -> None:
    """The report says that the marker is missing, not the folder, and keeps the counts of the last scan."""
    folder = Folder.from_path(inbox, settings)
    (inbox / ROOT_MARKER).touch()
    (inbox / "a").touch()
    folder.marked = folder.has_marker()
    assert uris(folder.scan()) == ["a"]
    (inbox / ROOT_MARKER).unlink()
    with pytest.raises(RootMissing, match=r"lacks its marker .*Check that the share is mounted"):
        list(folder.scan())
    assert (folder.report.marker_missing, folder.report.root_missing, folder.report.known) == (True, False, 1)
    inbox.rename(inbox.with_name("away"))
    with pytest.raises(RootMissing):
        list(folder.scan())
    assert (folder.report.marker_missing, folder.report.root_missing) == (False, True)
    inbox.with_name("away").rename(inbox)
    (inbox / ROOT_MARKER).touch()
    assert uris(folder.scan()) == []
    assert (folder.report.marker_missing, folder.report.root_missing, folder.report.known) == (False, False, 1)


def test_a_share_that_goes_away_after_its_marker_was_seen_is_missing(
    inbox: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marker is not what is missing, even if it was at the scan before."""
    folder = Folder(inbox, settings)
    folder.marked = True
    with pytest.raises(RootMissing):
        list(folder.scan())
    assert (folder.report.marker_missing, folder.report.root_missing) == (True, False)

    def unmounted(*_: object, **__: object) -> None:
        raise RootMissing

    (inbox / ROOT_MARKER).touch()
    monkeypatch.setattr("producer.folders.folder.walk", unmounted)
    with pytest.raises(RootMissing):
        list(folder.scan())
    assert (folder.report.marker_missing, folder.report.root_missing) == (False, True)


def test_a_marker_that_is_a_dangling_link_counts(inbox: Path, settings: Settings) -> None:
    """Only its name matters; it is no arrival, neither of a scan nor of an event."""
    (inbox / ROOT_MARKER).symlink_to("nowhere")
    folder = Folder.from_path(inbox, settings)
    assert folder.has_marker()
    assert uris(folder.scan()) == []
    assert uris(folder.scan_paths([os.fsencode(ROOT_MARKER)])) == []
    assert folder.report.temporary == 0


def test_the_spool_below_an_inbox_is_no_part_of_it(inbox: Path) -> None:
    """A receiver's images are registered by their own source."""
    spool = inbox / "spool"
    spool.mkdir()
    for path in (spool / "received.dcm", inbox / "a.dcm"):
        path.touch()
    settings = load_settings(state_dir=inbox.parent / "state", spool_dir=spool)
    folder = Folder.from_path(inbox, settings)
    assert uris(folder.scan()) == ["a.dcm"]


def test_the_spool_itself_may_be_a_source(tmp_path: Path) -> None:
    """Its own files are not left out of it."""
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "received.dcm").touch()
    settings = load_settings(state_dir=tmp_path / "state", spool_dir=spool)
    assert uris(Folder.from_path(spool, settings).scan()) == ["received.dcm"]


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
def test_the_files_of_the_database_are_no_arrivals(inbox: Path, tmp_path: Path, ending: str) -> None:
    """SQLite makes three more files beside its own; a file with a similar name is an arrival."""
    settings = load_settings(state_dir=tmp_path / "state", database_url=f"sqlite:///{inbox}/record.db")
    (inbox / f"record.db{ending}").touch()
    (inbox / "record.db-copy").touch()
    folder = Folder.from_path(inbox, settings)
    assert uris(folder.scan()) == ["record.db-copy"]
    assert uris(folder.scan_paths([os.fsencode(f"record.db{ending}")])) == []


def test_a_database_server_has_no_file_in_the_inbox(inbox: Path, tmp_path: Path) -> None:
    """A file with the name of the database is an ordinary file."""
    (inbox / "record").touch()
    settings = load_settings(state_dir=tmp_path / "state", database_url=f"postgresql://host/{inbox}/record")
    assert uris(Folder.from_path(inbox, settings).scan()) == ["record"]


def test_old_files_are_taken_at_once_only_by_the_first_scan(inbox: Path, settings: Settings) -> None:
    """Old means: unchanged for more than 60 s."""
    (inbox / "a").touch()
    written = (inbox / "a").stat().st_ctime
    for age, expected in ((60.0, []), (60.5, ["a"])):
        folder = Folder(inbox, settings, monotonic=ManualMonotonic(), wall=ManualMonotonic(written + age))
        assert uris(folder.scan()) == expected


def test_old_means_ten_settling_times_where_these_are_longer(inbox: Path, tmp_path: Path) -> None:
    """With a settling time of 20 s a file must be older than 200 s."""
    settings = load_settings(state_dir=tmp_path / "state", settle_seconds=20)
    (inbox / "a").touch()
    written = (inbox / "a").stat().st_ctime
    for age, expected in ((199.0, []), (201.0, ["a"])):
        folder = Folder(inbox, settings, monotonic=ManualMonotonic(), wall=ManualMonotonic(written + age))
        assert uris(folder.scan()) == expected


def test_a_modification_time_in_the_future_does_not_make_a_file_old(inbox: Path, settings: Settings) -> None:
    """The later of the two times of a file counts."""
    (inbox / "a").touch()
    written = (inbox / "a").stat().st_ctime
    os.utime(inbox / "a", (written + 500, written + 500))
    folder = Folder(inbox, settings, monotonic=ManualMonotonic(), wall=ManualMonotonic(written + 400))
    assert uris(folder.scan()) == []


def test_a_temporary_file_is_old_after_the_time_of_the_setting(inbox: Path, settings: Settings) -> None:
    """At 3,600 s it is not old; a modification time in the future counts as now."""
    (inbox / "a.part").touch()
    written = (inbox / "a.part").stat().st_mtime
    for age, old, seconds in ((-50.0, 0, 0.0), (3600.0, 0, 3600.0), (3601.0, 1, 3601.0)):
        folder = Folder(inbox, settings, monotonic=ManualMonotonic(), wall=ManualMonotonic(written + age))
        assert uris(folder.scan()) == []
        assert (folder.report.temporary, folder.report.temporary_old) == (1, old)
        assert folder.report.temporary_oldest_seconds == pytest.approx(seconds)


def test_the_report_has_the_age_of_the_oldest_temporary_file(inbox: Path, settings: Settings) -> None:
    """Two are older than the limit, and three are there."""
    for name, written in (("a.part", 1000), ("b.part", 5000), ("c.part", 9000)):
        (inbox / name).touch()
        os.utime(inbox / name, (written, written))
    folder = Folder(inbox, settings, monotonic=ManualMonotonic(), wall=ManualMonotonic(10_000.0))
    assert uris(folder.scan()) == []
    assert (folder.report.temporary, folder.report.temporary_old) == (3, 2)
    assert folder.report.temporary_oldest_seconds == 9000.0


def test_the_name_of_a_file_decides_and_not_that_of_its_folder(inbox: Path, settings: Settings) -> None:
    """A folder may be called like a temporary file."""
    (inbox / "study.part").mkdir()
    (inbox / "study.part" / "a").touch()
    assert uris(Folder.from_path(inbox, settings).scan()) == ["study.part/a"]


def test_the_duration_of_a_scan_leaves_out_the_time_of_the_consumer(inbox: Path, settings: Settings) -> None:
    """The scan takes no time by this clock, and the consumer takes 50 s for each chunk."""
    clock = ManualMonotonic()
    folder = Folder(inbox, settings, settle=False, monotonic=clock)
    for number in range(1500):
        (inbox / str(number)).touch()
    for _ in folder.scan():
        clock.now += 50
    assert folder.report.seconds == 0.0


def test_events_come_in_chunks_too(inbox: Path, settings: Settings) -> None:
    """A thousand files at most are one transaction."""
    folder = Folder(inbox, settings)
    names = [str(number).encode() for number in range(1001)]
    for name in names:
        (inbox / name.decode()).touch()
    assert [len(chunk) for chunk in folder.scan_paths(names)] == [1000, 1]


def test_a_file_at_the_first_look_of_a_slow_scan_is_not_held_back(inbox: Path, settings: Settings) -> None:
    """A chunk is due 0.2 s after the consumer asked for the last one, and not before."""
    (inbox / "a").touch()
    (inbox / "b").touch()
    for step, chunks in ((0.09, 1), (0.21, 3)):
        ticks = (number * step for number in range(1000))
        folder = Folder(inbox, settings, settle=False, monotonic=lambda ticks=ticks: next(ticks))
        assert len(list(folder.scan())) == chunks


def test_an_empty_folder_that_never_had_a_file_is_not_emptied(inbox: Path, settings: Settings) -> None:
    """A folder with only a waiting file is not emptied either."""
    folder = Folder(inbox, settings, monotonic=ManualMonotonic())
    list(folder.scan())
    assert not folder.report.root_emptied
    (inbox / "a").touch()
    list(folder.scan())
    assert (folder.report.pending, folder.report.root_emptied) == (1, False)


def test_a_folder_with_a_known_and_a_waiting_file_is_not_emptied(inbox: Path, settings: Settings) -> None:
    """Both are present."""
    clock = ManualMonotonic()
    folder = Folder(inbox, settings, monotonic=clock)
    (inbox / "a").touch()
    list(folder.scan())
    clock.now += 2
    assert uris(folder.scan()) == ["a"]
    (inbox / "b").touch()
    list(folder.scan())
    assert (folder.report.known, folder.report.pending, folder.report.root_emptied) == (1, 1, False)
