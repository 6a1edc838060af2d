"""The circuit breaker pauses dispatch, sends probes, and resumes dispatch."""

from datetime import UTC, datetime, timedelta

import pytest

from db.ledger import Cause
from db.queries import Outcomes, Pause
from producer.dispatcher.circuit_breaker import BreakerAction, CircuitBreaker

BEGAN = datetime(2026, 11, 5, 22, 0, tzinfo=UTC)
BREAKER = CircuitBreaker(images=100, share=0.5, probe_every=timedelta(seconds=300))
OFF = CircuitBreaker(images=0, share=0.5, probe_every=timedelta(seconds=300))


def outcomes(total: int, bad: int) -> Outcomes:
    return Outcomes(total=total, bad=bad, worst="truncated" if bad else None)


def pause(*, probe_batch: str | None = None, probed_at: datetime | None = None) -> Pause:
    return Pause(
        id=1,
        cause=Cause.BREAKER,
        source_id=None,
        source=None,
        detail="",
        actor="nightread",
        since=BEGAN,
        probe_batch=probe_batch,
        probed_at=probed_at,
    )


@pytest.mark.parametrize(
    ("total", "bad", "trips"), [(100, 50, True), (100, 49, False), (99, 99, False), (0, 0, False), (100, 100, True)]
)
def test_a_full_window_with_a_large_share_of_bad_outcomes_trips(total: int, bad: int, trips: bool) -> None:
    """With fewer outcomes than the setting requires, the breaker never trips."""
    assert BREAKER.trips(outcomes(total, bad)) is trips


def test_a_disabled_breaker_never_trips_and_ends_a_pause() -> None:
    """`nightread run` disables the breaker, and ends the pause that `nightread up` left in the database."""
    assert not OFF.trips(outcomes(100, 100))
    assert OFF.next_action(pause(), None, BEGAN) is BreakerAction.RESUME


@pytest.mark.parametrize(
    ("seconds", "next_action"),
    [(-3600, BreakerAction.WAIT), (0, BreakerAction.WAIT), (299, BreakerAction.WAIT), (300, BreakerAction.PROBE)],
)
def test_the_first_probe_is_due_after_the_interval(seconds: int, next_action: BreakerAction) -> None:
    """The interval is counted from the beginning of the pause."""
    assert BREAKER.next_action(pause(), None, BEGAN + timedelta(seconds=seconds)) is next_action


def test_the_next_probe_is_counted_from_the_one_before() -> None:
    """It is not counted from the beginning of the pause, which would make every later probe due at once."""
    waiting = pause(probed_at=BEGAN + timedelta(seconds=400))
    assert BREAKER.next_action(waiting, None, BEGAN + timedelta(seconds=699)) is BreakerAction.WAIT
    assert BREAKER.next_action(waiting, None, BEGAN + timedelta(seconds=700)) is BreakerAction.PROBE


@pytest.mark.parametrize(
    ("probe", "next_action"),
    [
        (None, BreakerAction.WAIT),
        (outcomes(16, 8), BreakerAction.DISCARD_PROBE),
        (outcomes(0, 0), BreakerAction.DISCARD_PROBE),
        (outcomes(16, 7), BreakerAction.RESUME),
        (outcomes(1, 0), BreakerAction.RESUME),
    ],
)
def test_a_probe_decides_once_its_images_have_outcomes(probe: Outcomes | None, next_action: BreakerAction) -> None:
    """Until then no other probe is sent; a probe without outcomes is discarded."""
    half_open = pause(probe_batch="b", probed_at=BEGAN)
    assert BREAKER.next_action(half_open, probe, BEGAN + timedelta(days=1)) is next_action


def test_the_message_has_the_numbers_and_the_most_frequent_reason() -> None:
    """`status` shows it to the operator."""
    assert BREAKER.message(outcomes(100, 62)) == (
        "62 of its latest 100 images failed or were defective, most often with the reason truncated."
    )
