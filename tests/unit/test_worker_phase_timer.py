"""Where the time of a batch went."""

from contextlib import suppress

from worker.phase_timer import PhaseTimer


class Clock:
    """Shows the time that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def test_a_phase_that_is_entered_again_adds_up() -> None:
    """Time between phases belongs to none."""
    clock = Clock()
    timer = PhaseTimer(clock)
    for seconds in (1.0, 2.5):
        with timer.phase("read"):
            clock.now += seconds
        clock.now += 10
    assert timer.seconds == {"read": 3.5}


def test_a_phase_inside_another_one_counts_for_itself_only() -> None:
    """The sum of all phases is the time that passed."""
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
    """The outer phase goes on afterwards."""
    clock = Clock()
    timer = PhaseTimer(clock)
    with timer.phase("read"):
        with suppress(ValueError), timer.phase("predict"):
            clock.now += 1
            raise ValueError
        clock.now += 2
    assert timer.seconds == {"read": 2.0, "predict": 1.0}
