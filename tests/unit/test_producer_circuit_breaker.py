"""When the breaker pauses dispatch, tries a few images, and lets it go on."""

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
        cause=Cause.BREAKER,
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
    """Fewer outcomes than the setting asks for prove nothing."""
    assert BREAKER.trips(outcomes(total, bad)) is trips


def test_a_breaker_of_no_images_never_trips_and_ends_what_another_began() -> None:
    """`nightread run` has it off, whatever `nightread up` left in the ledger."""
    assert not OFF.trips(outcomes(100, 100))
    assert OFF.next_action(pause(), None, BEGAN) is BreakerAction.RESUME


@pytest.mark.parametrize(
    ("seconds", "next_action"),
    [(-3600, BreakerAction.WAIT), (0, BreakerAction.WAIT), (299, BreakerAction.WAIT), (300, BreakerAction.PROBE)],
)
def test_the_first_probe_comes_in_its_time(seconds: int, next_action: BreakerAction) -> None:
    """Counted from the beginning of the pause."""
    assert BREAKER.next_action(pause(), None, BEGAN + timedelta(seconds=seconds)) is next_action


def test_the_next_probe_is_counted_from_the_one_before() -> None:
    """And not from the pause, which would make one follow the other."""
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
    """While they are under way nothing else goes, however late it is; a probe that all came back told nothing."""
    half_open = pause(probe_batch="b", probed_at=BEGAN)
    assert BREAKER.next_action(half_open, probe, BEGAN + timedelta(days=1)) is next_action


def test_the_reason_is_told_in_numbers() -> None:
    """Status shows it to the operator."""
    assert BREAKER.message(outcomes(100, 62)) == (
        "62 of the latest 100 images failed or were defective, most of them for truncated."
    )
