"""The problems of sources that `status` shows."""

from datetime import UTC, datetime, timedelta
from typing import Any

from db.condition.source_problems import source_problems
from db.queries import Source

NOW = datetime(2026, 11, 6, 2, 0, tzinfo=UTC)


def source(*, ago: timedelta = timedelta(seconds=20), **report: Any) -> Source:
    """Return a source whose watcher sent this report `ago`."""
    return Source(id=1, name="ct", kind="folder", root="/ct", report=report, reported_at=NOW - ago, marked=False)


def test_a_healthy_source_is_not_mentioned() -> None:
    """Counts of ordinary files are not a problem."""
    assert list(source_problems(source(known=1000, pending=3, temporary=2, temporary_old=0), NOW)) == []


def test_old_temporary_names_are_shown_with_the_age_of_the_oldest() -> None:
    """An interrupted transfer would otherwise stay unnoticed."""
    (problem,) = source_problems(source(temporary_old=2, temporary_oldest_seconds=7500), NOW)
    assert "2 files with temporary names" in problem
    assert "2 h 05 min" in problem


def test_a_missing_or_emptied_folder_is_shown() -> None:
    """The user reads that the share may not be mounted, not that everything was deleted."""
    problems = list(source_problems(source(root_missing=True, root_emptied=True), NOW))
    assert len(problems) == 2
    assert all("mount" in problem for problem in problems)


def test_a_watcher_that_fell_silent_is_shown() -> None:
    """A watcher reports every minute; it is shown if it sent no report for three minutes."""
    (problem,) = source_problems(source(ago=timedelta(minutes=4)), NOW)
    assert "its watcher was last seen 4 min 00 s ago" in problem


def test_a_missing_marker_is_shown() -> None:
    """The folder exists, but the share is not mounted on it."""
    (problem,) = source_problems(source(marker_missing=True), NOW)
    assert problem == "the marker file .nightread-source is missing: check that the share is mounted"


def test_a_problem_of_a_store_is_shown() -> None:
    """Its poller reports clauses that follow the words `the store`."""
    (problem,) = source_problems(source(troubles=["cannot be reached"], seconds=0.1), NOW)
    assert problem == "the store cannot be reached"


def test_a_full_disk_is_shown() -> None:
    """The files of the folder are not registered and not counted while the disk is full."""
    (problem,) = source_problems(source(disk_short=True), NOW)
    assert "nothing is registered until the disk" in problem


def test_refused_associations_are_shown_with_the_latest_caller() -> None:
    """An operator must learn of a sender whose images do not arrive."""
    refused = {"by_kind": {"rejected": 1200, "aborted": 1}, "latest": "CT1 at 10.1.2.3"}
    (problem,) = source_problems(source(refused_associations=refused), NOW)
    assert problem.startswith("1,201 associations brought no image in the last hour (aborted 1, rejected 1,200), ")
    assert problem.endswith("the latest from CT1 at 10.1.2.3: see `nightread receipts --each`")
    assert list(source_problems(source(refused_associations={}), NOW)) == []


def test_a_disk_that_is_nearly_full_is_shown() -> None:
    """There is still time to free space; once the disk is full, only that is shown."""
    (problem,) = source_problems(source(disk_low=True), NOW)
    assert problem == "the disk of the state folder is nearly full: soon nothing is registered"
    (problem,) = source_problems(source(disk_low=True, disk_short=True), NOW)
    assert "nothing is registered until the disk" in problem


def test_a_sender_beyond_its_quota_is_shown() -> None:
    """An operator finds it in the list of receipts."""
    refused = {"images": 1200, "senders": 1, "latest": "CT1 at 10.1.2.3"}
    (problem,) = source_problems(source(over_quota=refused), NOW)
    assert problem == (
        "1,200 images were refused (status A700) in the last hour, because one sender has used up the quota of the "
        "spool; the latest came from CT1 at 10.1.2.3: see `nightread receipts` and docs/pacs.md"
    )
    (problem,) = source_problems(source(over_quota=refused | {"senders": 3}), NOW)
    assert "because 3 senders have used up the quota" in problem
    assert list(source_problems(source(over_quota={}), NOW)) == []
