"""What `status` says of sources."""

from datetime import UTC, datetime, timedelta
from typing import Any

from cli.output.source_problems import troubles
from db.queries import Source

NOW = datetime(2026, 11, 6, 2, 0, tzinfo=UTC)


def source(*, ago: timedelta = timedelta(seconds=20), **report: Any) -> Source:
    """A source whose watcher reported this a while ago."""
    return Source(id=1, name="ct", kind="folder", root="/ct", report=report, reported_at=NOW - ago, marked=False)


def test_a_healthy_source_is_not_mentioned() -> None:
    """Numbers of ordinary files are no trouble."""
    assert list(troubles(source(known=1000, pending=3, temporary=2, temporary_old=0), NOW)) == []


def test_old_temporary_names_are_shown_with_the_age_of_the_oldest() -> None:
    """A transfer that broke off hours ago would otherwise never be noticed."""
    (said,) = troubles(source(temporary_old=2, temporary_oldest_seconds=7500), NOW)
    assert "2 temporary names" in said
    assert "2 h 05 min" in said


def test_a_missing_or_emptied_folder_is_shown() -> None:
    """Neither is read as 'everything was deleted'."""
    said = list(troubles(source(root_missing=True, root_emptied=True), NOW))
    assert len(said) == 2
    assert all("mount" in sentence for sentence in said)


def test_a_watcher_that_fell_silent_is_shown() -> None:
    """Watchers report every minute; three without a word are too many."""
    (said,) = troubles(source(ago=timedelta(minutes=4)), NOW)
    assert "4 min" in said


def test_a_missing_marker_is_shown() -> None:
    """The folder is there, and is not the share that was meant."""
    (said,) = troubles(source(marker_missing=True), NOW)
    assert said == "the folder's marker .nightread-source is missing: is the share mounted?"


def test_what_a_store_does_is_shown() -> None:
    """Its poller reports clauses whose subject it is."""
    (said,) = troubles(source(troubles=["cannot be reached"], seconds=0.1), NOW)
    assert said == "the store cannot be reached"


def test_a_watcher_that_holds_back_for_want_of_room_is_shown() -> None:
    """Files lie in their folder meanwhile and are in no count."""
    (said,) = troubles(source(disk_short=True), NOW)
    assert "nothing is registered until there is room" in said
