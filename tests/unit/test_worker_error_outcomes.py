"""Turn an error into the outcome of an image."""

import logging
import random
from datetime import timedelta

import pytest
from outcomes_of_errors import FILE, NOW, outcome, seconds_until

from db.tables import State
from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.reasons import Reason
from worker.fetching.files import FileChangedError


@pytest.fixture
def longest_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every delay as long as its jitter allows."""
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)


def test_a_defective_image_is_rejected_at_once() -> None:
    """The outcome has the digest of the bytes, so that copies are recognised."""
    found = outcome(RejectImage(Reason.TRUNCATED))
    assert (found.state, found.reason, found.content) == (State.REJECTED, Reason.TRUNCATED, FILE.content)
    assert found.detail == Reason.TRUNCATED.message
    assert (found.work_id, found.instance_id) == (1, 2)
    assert (found.size, found.mtime_ns, found.not_before) == (4, 7, None)
    assert (found.alone, found.uncounted) == (False, False)


@pytest.mark.parametrize(("attempts", "state"), [(1, State.RECEIVED), (2, State.RECEIVED), (3, State.FAILED)])
def test_a_transient_error_is_retried_up_to_the_limit(attempts: int, state: State) -> None:
    """The image keeps the reason of its last attempt."""
    found = outcome(RetryImage(Reason.UNREADABLE), attempts=attempts)
    assert (found.state, found.reason) == (state, Reason.UNREADABLE)


@pytest.mark.parametrize(("age", "longest"), [(1, 2), (30, 10), (600, 60), (10**6, 60)])
def test_waiting_for_a_source_has_growing_delays_and_uses_no_attempt(age: int, longest: float) -> None:
    """If a share returns after an hour and then one error occurs, all attempts are left."""
    held = [
        outcome(RetryImage(Reason.SOURCE_GONE), age=timedelta(seconds=age), attempts=1, retry_cap_seconds=300)
        for _ in range(20)
    ]
    assert {each.uncounted for each in held} == {True}
    assert all(0.5 * longest <= (each.not_before - NOW).total_seconds() <= longest for each in held if each.not_before)
    assert not outcome(RetryImage(Reason.IO_ERROR)).uncounted
    assert not outcome(RetryImage(Reason.SOURCE_GONE), hold_missing_sources=False).uncounted


@pytest.mark.parametrize(("attempts", "longest"), [(1, 2), (2, 4), (7, 5)])
def test_delays_double_up_to_a_cap_and_have_jitter(attempts: int, longest: float) -> None:
    """The retries must not all reach a store at the moment at which it returns."""
    error = RetryImage(Reason.IO_ERROR)
    found = [outcome(error, attempts=attempts, retry_limit=9).not_before for _ in range(20)]
    pauses = {(moment - NOW) / timedelta(seconds=longest) for moment in found if moment}
    assert len(pauses) > 1
    assert all(0.5 <= pause <= 1 for pause in pauses)


@pytest.mark.parametrize(("minutes", "state"), [(9, State.RECEIVED), (10, State.FAILED)])
def test_a_transient_error_is_retried_for_a_limited_time(minutes: int, state: State) -> None:
    """After `retry_patience_seconds` the image fails, even if attempts are left."""
    found = outcome(RetryImage(Reason.IO_ERROR), tried=timedelta(minutes=minutes), retry_patience_seconds=600)
    assert found.state is state


def test_a_recently_written_file_counts_as_recent() -> None:
    """Even if it was registered long ago. A modification time in the future is ignored."""

    def state(written: timedelta) -> State:
        mtime_ns = int((NOW + written).timestamp() * 1e9)
        return outcome(RejectImage(Reason.TRUNCATED), mtime_ns=mtime_ns, age=timedelta(days=1)).state

    assert state(-timedelta(seconds=10)) is State.RECEIVED
    assert state(-timedelta(days=1)) is State.REJECTED
    assert state(timedelta(days=1)) is State.REJECTED


def test_a_missing_source_is_waited_for_without_limit_by_default() -> None:
    """If a share is unmounted for a day, no image fails."""
    assert outcome(RetryImage(Reason.SOURCE_GONE), attempts=99).state is State.RECEIVED
    assert outcome(RetryImage(Reason.SOURCE_GONE), attempts=99, hold_missing_sources=False).state is State.FAILED


def test_an_archive_waits_for_room_on_the_disk_with_growing_pauses() -> None:
    """It would fail within two minutes otherwise; each attempt may write gigabytes, so the attempts are counted."""
    waiting = outcome(RetryImage(Reason.NO_ROOM), attempts=99, age=timedelta(days=2))
    assert (waiting.state, waiting.uncounted) == (State.RECEIVED, False)
    assert outcome(RetryImage(Reason.NO_ROOM), attempts=99, hold_missing_sources=False).state is State.FAILED


@pytest.mark.parametrize("error", [MemoryError(), RetryImage(Reason.OUT_OF_MEMORY)])
def test_an_image_without_enough_memory_travels_alone_and_then_fails(error: Exception) -> None:
    """Alone in its batch it has all of the memory."""
    crowded, alone = outcome(error), outcome(error, alone=True)
    assert (crowded.state, crowded.alone, alone.state) == (State.RECEIVED, True, State.FAILED)
    assert alone.reason is Reason.OUT_OF_MEMORY


def test_a_timeout_is_not_retried() -> None:
    """A second attempt would take as long."""
    assert (outcome(ImageError(Reason.TIMEOUT)).state, Reason.TIMEOUT.fault) == (State.FAILED, "failed")


def test_a_retry_takes_over_a_changed_identity_and_a_failure_does_not() -> None:
    """Otherwise the failure would count for other bytes, and the file would be tried for ever."""
    error = FileChangedError(size=10, mtime_ns=20)
    again, failed = outcome(error), outcome(error, attempts=3)
    assert (again.state, again.size, again.mtime_ns, again.content) == (State.RECEIVED, 10, 20, None)
    assert (failed.state, failed.size, failed.mtime_ns) == (State.FAILED, 4, 7)


def test_the_text_of_an_unexpected_error_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    """The database holds only the class of the error, because its text may contain patient data."""
    with caplog.at_level(logging.ERROR):
        found = outcome(ValueError("DOE^JOHN"))
    assert (found.state, found.reason) == (State.FAILED, Reason.INTERNAL_ERROR)
    assert "ValueError" in str(found.detail)
    assert "DOE" not in f"{found.detail} {[record.getMessage() for record in caplog.records]}"


@pytest.mark.usefixtures("longest_delays")
@pytest.mark.parametrize(("attempts", "seconds"), [(1, 2), (2, 4), (3, 8), (4, 16), (5, 20), (5000, 20)])
def test_the_delay_after_an_error_doubles_with_each_attempt(attempts: int, seconds: float) -> None:
    """It begins with `retry_base_seconds`, ends at `retry_cap_seconds`, and no number of attempts is too high."""
    limits = {"retry_limit": 10_000, "retry_cap_seconds": 20}
    assert seconds_until(outcome(RetryImage(Reason.IO_ERROR), attempts=attempts, **limits)) == seconds


@pytest.mark.usefixtures("longest_delays")
@pytest.mark.parametrize(
    ("waited", "seconds", "cap"),
    [(0, 2, 999), (6, 2, 999), (9, 3, 999), (180, 60, 999), (181, 60, 999), (10**6, 60, 999), (10**6, 50, 50)],
)
def test_the_delay_while_a_source_is_away_is_a_third_of_the_time_waited(waited: int, seconds: float, cap: int) -> None:
    """It is at least `retry_base_seconds`, and at most a minute or the cap. The number of attempts does not count."""
    age = timedelta(seconds=waited)
    found = outcome(RetryImage(Reason.SOURCE_GONE), age=age, attempts=4, retry_cap_seconds=cap)
    assert seconds_until(found) == seconds


def test_the_jitter_takes_up_to_half_of_the_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shortest delay after a first error is half of `retry_base_seconds`."""
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)
    assert seconds_until(outcome(RetryImage(Reason.IO_ERROR))) == 1


@pytest.mark.parametrize("reason", [Reason.SOURCE_GONE, Reason.STORE_UNAVAILABLE])
def test_folders_and_stores_are_waited_for(reason: Reason) -> None:
    """Both may be away for a day; with `hold_missing_sources=false` both use up the attempts."""
    held = outcome(RetryImage(reason), attempts=99)
    assert (held.state, held.uncounted) == (State.RECEIVED, True)
    tried = outcome(RetryImage(reason), attempts=2, hold_missing_sources=False)
    assert (tried.state, tried.uncounted) == (State.RECEIVED, False)
    assert outcome(RetryImage(reason), attempts=3, hold_missing_sources=False).state is State.FAILED


def test_an_incomplete_file_waits_although_missing_sources_are_not_held() -> None:
    """`hold_missing_sources` is about sources, not about files."""
    young = timedelta(seconds=1)
    found = outcome(RejectImage(Reason.TRUNCATED), age=young, attempts=99, hold_missing_sources=False)
    assert (found.state, found.uncounted) == (State.RECEIVED, True)


def test_only_a_lack_of_memory_makes_an_image_travel_alone() -> None:
    """Other errors of an image that is already marked `alone` are retried like those of any image."""
    found = outcome(RetryImage(Reason.IO_ERROR), alone=True)
    assert (found.state, found.alone) == (State.RECEIVED, False)


def test_an_image_that_was_not_read_has_no_digest_and_no_identity() -> None:
    """The ledger keeps the size and time that were registered."""
    for error in (RetryImage(Reason.SOURCE_GONE), RejectImage(Reason.NOT_DICOM)):
        found = outcome(error, file=None)
        assert (found.content, found.size, found.mtime_ns) == (None, None, None)


def test_a_failed_image_keeps_the_digest_of_its_bytes_and_a_retried_one_does_not() -> None:
    """The bytes of the next attempt may be others."""
    failed, retried = outcome(ImageError(Reason.TIMEOUT)), outcome(RetryImage(Reason.IO_ERROR))
    assert (failed.content, failed.size, failed.mtime_ns) == (FILE.content, 4, 7)
    assert (retried.content, retried.size, retried.mtime_ns) == (None, 4, 7)
