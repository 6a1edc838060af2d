"""Measure the seconds of each phase."""

from contextlib import suppress

from worker.phase_timer import PhaseTimer


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


def test_a_phase_that_is_entered_again_adds_up() -> None:
    """Time between two phases does not count."""
    clock = Clock()
    timer = PhaseTimer(clock)
    for seconds in (1.0, 2.5):
        with timer.phase("read"):
            clock.now += seconds
        clock.now += 10
    assert timer.seconds == {"read": 3.5}


def test_a_nested_phase_does_not_count_for_the_outer_phase() -> None:
    """The sum of all phases is the elapsed time."""
    clock = Clock()
    timer = PhaseTimer(clock)
    with timer.phase("read"):
        clock.now += 1
        with timer.phase("look_up"):
            clock.now += 2
        clock.now += 4
        with timer.phase("predict"):
            clock.now += 8
    assert timer.seconds == {"read": 5.0, "look_up": 2.0, "predict": 8.0}


def test_a_phase_ends_with_an_error_too() -> None:
    """The outer phase continues afterwards."""
    clock = Clock()
    timer = PhaseTimer(clock)
    with timer.phase("read"):
        with suppress(ValueError), timer.phase("predict"):
            clock.now += 1
            raise ValueError
        clock.now += 2
    assert timer.seconds == {"read": 2.0, "predict": 1.0}
