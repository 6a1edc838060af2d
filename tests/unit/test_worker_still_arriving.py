"""An incomplete image is read again until it is complete, or until its time has passed."""

import random
from datetime import timedelta
from pathlib import Path

import pytest
from outcomes_of_errors import NOW, outcome, seconds_until

from db.tables import State
from nightread.errors import ImageError, RejectImage
from nightread.reasons import Reason


@pytest.fixture
def longest_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every delay as long as its jitter allows."""
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)


@pytest.mark.parametrize("reason", [Reason.TRUNCATED, Reason.EMPTY])
def test_a_recent_incomplete_file_is_retried(reason: Reason) -> None:
    """Only its age ends the wait; the number of attempts and `retry_patience_seconds` do not count."""
    young, old = timedelta(seconds=299), timedelta(seconds=300)
    waits = outcome(RejectImage(reason), attempts=99, age=young, tried=timedelta(days=9), arrival_timeout_seconds=300)
    assert (waits.state, waits.reason, waits.content) == (State.RECEIVED, Reason.STILL_ARRIVING, None)
    assert waits.not_before is not None
    assert waits.not_before <= NOW + timedelta(seconds=1)
    ended = outcome(RejectImage(reason), age=old, arrival_timeout_seconds=300)
    assert (ended.state, ended.reason) == (State.REJECTED, reason)


@pytest.mark.parametrize(("age", "least", "most"), [(0, 1, 2), (20, 20, 40), (100, 100, 200), (280, 20, 20)])
def test_a_file_that_is_still_arriving_is_tried_less_and_less_often(age: int, least: int, most: int) -> None:
    """Between one and two times the time since it arrived passes (jitter), but never more than is left of the 300 s."""
    found = outcome(
        RejectImage(Reason.TRUNCATED),
        age=timedelta(seconds=age),
        arrival_timeout_seconds=300,
        retry_cap_seconds=1000,
    )

    assert found.not_before is not None
    assert least <= (found.not_before - NOW).total_seconds() <= most


@pytest.mark.parametrize("root", ["http://pacs:8042/dicom-web", "https://pacs/dicom-web"])
@pytest.mark.parametrize(("age", "least", "most"), [(0, 1, 2), (30, 5, 10), (90, 15, 30), (290, 10, 10)])
def test_an_image_that_is_still_arriving_in_a_store_is_tried_sooner(root: str, age: int, least: int, most: int) -> None:
    """No watcher reports that it has changed: between a sixth and a third of the time since it arrived passes."""
    found = outcome(
        RejectImage(Reason.TRUNCATED),
        place=("pacs", "pacs", root),
        age=timedelta(seconds=age),
        arrival_timeout_seconds=300,
        retry_cap_seconds=1000,
    )

    assert least <= seconds_until(found) <= most


@pytest.mark.usefixtures("longest_delays")
def test_the_time_between_attempts_is_counted_from_the_arrival_and_not_from_the_last_write() -> None:
    """It arrived 60 s ago and was written 10 s ago: 290 s of 300 s are left, and the next attempt is in 120 s."""
    mtime_ns = int((NOW - timedelta(seconds=10)).timestamp() * 1e9)
    wait = {"arrival_timeout_seconds": 300, "retry_cap_seconds": 1000}
    found = outcome(RejectImage(Reason.TRUNCATED), age=timedelta(seconds=60), mtime_ns=mtime_ns, **wait)
    assert seconds_until(found) == 120


def test_the_detail_of_a_file_that_is_still_arriving_says_until_when_it_waits() -> None:
    """It arrived 200 s ago, at 22:00 less 200 s, and is given up after 300 s."""
    found = outcome(RejectImage(Reason.TRUNCATED), age=timedelta(seconds=200), arrival_timeout_seconds=300)

    assert found.detail is not None
    assert found.detail.endswith("It is read again until 2026-11-05 22:01:40 UTC.")


def test_files_that_count_as_complete_are_not_retried() -> None:
    """`nightread run` sets `arrival_timeout_seconds=0`; other defects do not depend on the age of the file."""
    young = timedelta(seconds=1)
    assert outcome(RejectImage(Reason.TRUNCATED), age=young, arrival_timeout_seconds=0).state is State.REJECTED
    assert outcome(RejectImage(Reason.NOT_DICOM), age=young).state is State.REJECTED
    assert outcome(ImageError(Reason.TRUNCATED), age=young).state is State.FAILED


@pytest.mark.usefixtures("longest_delays")
def test_an_incomplete_file_is_read_again_when_its_time_ends() -> None:
    """It waits twice as long as it has waited, but no longer than the 30 s that are left of 300 s."""
    wait = {"arrival_timeout_seconds": 300, "retry_cap_seconds": 1000}
    error = RejectImage(Reason.TRUNCATED)
    assert seconds_until(outcome(error, age=timedelta(seconds=270), **wait)) == 30
    assert seconds_until(outcome(error, age=timedelta(seconds=30), **wait)) == 60


@pytest.mark.parametrize(
    ("place", "state"),
    [
        (("inbox", "inbox"), State.RECEIVED),
        (("inbox", ""), State.RECEIVED),
        (("archives", "inbox"), State.REJECTED),
    ],
    ids=["file of a folder", "unknown origin", "member of an archive"],
)
def test_the_rest_of_a_member_of_an_archive_cannot_arrive_later(place: tuple[str, str], state: State) -> None:
    """A truncated file waits for the rest of its bytes unless it was unpacked from an archive."""
    found = outcome(RejectImage(Reason.TRUNCATED), age=timedelta(seconds=1), place=place)
    assert found.state is state


@pytest.mark.parametrize("reason", [Reason.TRUNCATED, Reason.EMPTY])
def test_the_rest_of_a_file_in_the_spool_cannot_arrive_later(tmp_path: Path, reason: Reason) -> None:
    """A file that was sent over HTTP or by C-STORE is registered when it is complete; its client waits for the result.

    The spool may be mounted at another place on the worker's host.
    """
    young, spool = timedelta(seconds=1), str(tmp_path / "spool" / "api-1f2e3d4c")
    sent = outcome(RejectImage(reason), age=young, place=("api", "api", spool), state_dir=tmp_path)
    roots = {"api": tmp_path / "spool" / "api"}
    elsewhere = outcome(RejectImage(reason), age=young, place=("api", "api", "/far"), state_dir=tmp_path, roots=roots)
    folder = outcome(RejectImage(reason), age=young, place=("a", "a", f"{spool}/../../in"), state_dir=tmp_path / "b")

    assert [found.state for found in (sent, elsewhere, folder)] == [State.REJECTED, State.REJECTED, State.RECEIVED]


def test_the_age_of_a_file_is_counted_in_seconds_of_its_modification_time() -> None:
    """Written now or 299 s ago, it waits; 300 s ago, it does not. A time in the future does not count."""
    waits, ends = State.RECEIVED, State.REJECTED
    for seconds, state in ((0, waits), (299, waits), (300, ends), (-1, ends)):
        mtime_ns = (int(NOW.timestamp()) - seconds) * 10**9
        error = RejectImage(Reason.EMPTY)
        found = outcome(error, mtime_ns=mtime_ns, age=timedelta(days=1), arrival_timeout_seconds=300)
        assert found.state is state
