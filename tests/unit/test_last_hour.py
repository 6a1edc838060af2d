"""Events of the last hour are counted to the minute, all of them, in bounded memory."""

from datetime import UTC, datetime

import pytest
from ledger_driver import SettableClock

from producer.cstore import last_hour
from producer.cstore.last_hour import OTHERS, HourlyCounts
from producer.cstore.over_quota import OverQuota

START = datetime(2026, 11, 28, 22, 30, 20, tzinfo=UTC)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock(START)


def test_no_event_is_forgotten_within_the_hour(clock: SettableClock) -> None:
    """A sender that tries again at once is refused more than 10,000 times."""
    counts = HourlyCounts(clock)
    for minute in range(60):
        for _ in range(400):
            counts.add("aborted" if minute < 30 else "rejected", calling_ae="CT1", address="10.1.2.3")
        clock.advance(minutes=1)
    clock.advance(seconds=-21)
    found = counts.last_hour()
    assert found is not None
    assert (found.total, found.by_kind) == (24_000, {"aborted": 12_000, "rejected": 12_000})
    clock.advance(minutes=30, seconds=1)
    assert counts.last_hour() == ({"rejected": 12_000}, "CT1 at 10.1.2.3")
    clock.advance(minutes=31)
    assert counts.last_hour() is None


def test_a_flood_of_kinds_needs_no_more_memory(clock: SettableClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are still counted."""
    monkeypatch.setattr(last_hour, "_MOST_KINDS", 2)
    counts = HourlyCounts(clock)
    for kind in "abcda":
        counts.add(kind, calling_ae="", address="10.1.2.3")
    assert counts.last_hour() == ({"a": 2, "b": 1, OTHERS: 2}, "a caller without AE title at 10.1.2.3")


def test_a_flood_from_one_sender_hides_no_other(clock: SettableClock) -> None:
    """It counts as one sender under all of its AE titles."""
    refused = OverQuota(clock)
    quiet = refused.note("MR1", "10.1.2.4")
    loud = {refused.note(f"CT{number}", "10.1.2.3") for number in range(20_000)}
    assert len(loud | {quiet}) == 2
    assert refused.report() == {"images": 20_001, "senders": 2, "latest": "CT19999 at 10.1.2.3"}


def test_a_clock_that_is_set_back_loses_no_count(clock: SettableClock) -> None:
    """The events of the later minutes stay until their hour is over."""
    counts = HourlyCounts(clock)
    for _ in range(3):
        counts.add("rejected", calling_ae="CT1", address="10.1.2.3")
        clock.advance(minutes=-10)
    found = counts.last_hour()
    assert found is not None
    assert found.total == 3
