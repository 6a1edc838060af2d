"""From an error to what the ledger is told."""

import logging
from datetime import timedelta

import pytest
from ledger_driver import SettableClock

from db.ledger import Claimed, Outcome
from db.tables import State
from imaging.facts import NO_FACTS
from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.reasons import Reason
from nightread.settings import load_settings
from worker.error_outcomes import outcome_of_error
from worker.fetching.files import Fetched, FileChangedError

FILE = Fetched(data=b"scan", sha256="f" * 64, size=4, mtime_ns=7)
NOW = SettableClock()()


def outcome(
    error: Exception,
    *,
    attempts: int = 1,
    alone: bool = False,
    age: timedelta = timedelta(hours=1),
    tried: timedelta = timedelta(),
    mtime_ns: int = 7,
    **knobs: object,
) -> Outcome:
    """What becomes of an image whose file was read before this error."""
    image = Claimed(
        work_id=1,
        instance_id=2,
        source="inbox",
        root="/inbox",
        uri="a.dcm",
        size=4,
        mtime_ns=mtime_ns,
        attempts=attempts,
        alone=alone,
        first=True,
        arrived_at=NOW - age,
        tried_since=NOW - tried,
        marked=False,
    )
    given = {"retry_limit": 3, "retry_base_seconds": 2, "retry_cap_seconds": 5, **knobs}
    settings = load_settings(None, **given)
    return outcome_of_error(image, error, file=FILE, facts=NO_FACTS, settings=settings, now=NOW)


def test_what_is_wrong_with_the_image_is_final_at_once() -> None:
    """With the digest of its bytes, so that the same bytes are known again."""
    found = outcome(RejectImage(Reason.TRUNCATED))
    assert (found.state, found.reason, found.sha256) == (State.REJECTED, Reason.TRUNCATED, FILE.sha256)
    assert found.detail == Reason.TRUNCATED.message


@pytest.mark.parametrize(("attempts", "state"), [(1, State.RECEIVED), (2, State.RECEIVED), (3, State.FAILED)])
def test_what_is_wrong_with_the_world_is_tried_so_often(attempts: int, state: State) -> None:
    """The last try's reason is the image's."""
    found = outcome(RetryImage(Reason.UNREADABLE), attempts=attempts)
    assert (found.state, found.reason) == (state, Reason.UNREADABLE)


@pytest.mark.parametrize(("age", "longest"), [(1, 2), (30, 10), (600, 60), (10**6, 60)])
def test_what_merely_waits_is_looked_at_less_and_less_and_uses_up_no_try(age: int, longest: float) -> None:
    """A share that was away for an hour and comes back with one error has all its tries left."""
    held = [
        outcome(RetryImage(Reason.SOURCE_GONE), age=timedelta(seconds=age), attempts=1, retry_cap_seconds=300)
        for _ in range(20)
    ]
    assert {each.uncounted for each in held} == {True}
    assert all(0.5 * longest <= (each.not_before - NOW).total_seconds() <= longest for each in held if each.not_before)
    assert not outcome(RetryImage(Reason.IO_ERROR)).uncounted
    assert not outcome(RetryImage(Reason.SOURCE_GONE), hold_missing_sources=False).uncounted


@pytest.mark.parametrize(("attempts", "longest"), [(1, 2), (2, 4), (7, 5)])
def test_pauses_double_up_to_a_cap_and_differ(attempts: int, longest: float) -> None:
    """So that a store that comes back is not met by everybody at once."""
    error = RetryImage(Reason.IO_ERROR)
    found = [outcome(error, attempts=attempts, retry_limit=9).not_before for _ in range(20)]
    pauses = {(moment - NOW) / timedelta(seconds=longest) for moment in found if moment}
    assert len(pauses) > 1
    assert all(0.5 <= pause <= 1 for pause in pauses)


@pytest.mark.parametrize(("minutes", "state"), [(9, State.RECEIVED), (10, State.FAILED)])
def test_what_is_wrong_with_the_world_is_tried_so_long(minutes: int, state: State) -> None:
    """Whatever the number of tries that are left."""
    found = outcome(RetryImage(Reason.IO_ERROR), tried=timedelta(minutes=minutes), retry_patience_seconds=600)
    assert found.state is state


@pytest.mark.parametrize("reason", [Reason.TRUNCATED, Reason.EMPTY])
def test_an_incomplete_file_that_is_young_is_waited_for(reason: Reason) -> None:
    """Its age alone ends that, at the moment it is too old; neither tries nor patience do."""
    young, old = timedelta(seconds=299), timedelta(seconds=300)
    waits = outcome(RejectImage(reason), attempts=99, age=young, tried=timedelta(days=9), arrival_timeout_seconds=300)
    assert (waits.state, waits.reason, waits.sha256) == (State.RECEIVED, Reason.STILL_ARRIVING, None)
    assert waits.not_before is not None
    assert waits.not_before <= NOW + timedelta(seconds=1)
    ended = outcome(RejectImage(reason), age=old, arrival_timeout_seconds=300)
    assert (ended.state, ended.reason) == (State.REJECTED, reason)


def test_a_file_that_was_written_lately_is_young() -> None:
    """Though its name arrived long ago; a time of writing that lies ahead tells nothing."""

    def state(written: timedelta) -> State:
        mtime_ns = int((NOW + written).timestamp() * 1e9)
        return outcome(RejectImage(Reason.TRUNCATED), mtime_ns=mtime_ns, age=timedelta(days=1)).state

    assert state(-timedelta(seconds=10)) is State.RECEIVED
    assert state(-timedelta(days=1)) is State.REJECTED
    assert state(timedelta(days=1)) is State.REJECTED


def test_files_that_are_taken_as_complete_are_not_waited_for() -> None:
    """As `nightread run` takes them, and what is otherwise wrong with a file is wrong at any age."""
    young = timedelta(seconds=1)
    assert outcome(RejectImage(Reason.TRUNCATED), age=young, arrival_timeout_seconds=0).state is State.REJECTED
    assert outcome(RejectImage(Reason.NOT_DICOM), age=young).state is State.REJECTED


def test_a_missing_source_is_waited_for_without_limit_unless_told_otherwise() -> None:
    """A share that is unmounted for a day fails nothing."""
    assert outcome(RetryImage(Reason.SOURCE_GONE), attempts=99).state is State.RECEIVED
    assert outcome(RetryImage(Reason.SOURCE_GONE), attempts=99, hold_missing_sources=False).state is State.FAILED


@pytest.mark.parametrize("error", [MemoryError(), RetryImage(Reason.OUT_OF_MEMORY)])
def test_without_memory_it_travels_alone_and_then_fails(error: Exception) -> None:
    """Alone it has all the memory there is."""
    crowded, alone = outcome(error), outcome(error, alone=True)
    assert (crowded.state, crowded.alone, alone.state) == (State.RECEIVED, True, State.FAILED)
    assert alone.reason is Reason.OUT_OF_MEMORY


def test_a_timeout_is_not_tried_again() -> None:
    """It would take as long again."""
    assert (outcome(ImageError(Reason.TIMEOUT)).state, Reason.TIMEOUT.fault) == (State.FAILED, "failed")


def test_a_changed_file_is_followed_while_it_is_tried_and_keeps_its_identity_when_it_fails() -> None:
    """Else the ledger would take the failure for one of other bytes, and try for ever."""
    error = FileChangedError(size=10, mtime_ns=20)
    again, failed = outcome(error), outcome(error, attempts=3)
    assert (again.state, again.size, again.mtime_ns, again.sha256) == (State.RECEIVED, 10, 20, None)
    assert (failed.state, failed.size, failed.mtime_ns) == (State.FAILED, 4, 7)


def test_the_text_of_an_unexpected_error_is_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The record has its class, the log its place."""
    with caplog.at_level(logging.ERROR):
        found = outcome(ValueError("DOE^JOHN"))
    assert (found.state, found.reason) == (State.FAILED, Reason.INTERNAL_ERROR)
    assert "ValueError" in str(found.detail)
    assert "DOE" not in f"{found.detail} {[record.getMessage() for record in caplog.records]}"
