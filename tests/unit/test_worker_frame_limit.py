"""The time limit of one frame, and of all frames of an object together."""

import signal
import time
from types import SimpleNamespace
from typing import Any

import pytest

from nightread.errors import ImageError
from nightread.reasons import Reason
from worker.decode import _FrameLimit


class Timers:
    """A clock that a test advances, and the timers that were set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.real: list[float] = []
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(signal, "setitimer", self._set)

    def _set(self, which: int, seconds: float) -> None:
        if which == signal.ITIMER_REAL and seconds:
            self.real.append(seconds)


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    """Return timers that never fire."""
    return Timers(monkeypatch)


def limit(frames: int, *, stored_bytes: int = 0, seconds: float = 60) -> _FrameLimit:
    """Return the limit of an object."""
    image: Any = SimpleNamespace(frame_count=frames, stored_bytes=stored_bytes)
    return _FrameLimit(image, seconds)


def decode_frames(of: _FrameLimit, timers: Timers, *seconds: float) -> None:
    """Decode frames that take these seconds each."""
    for one in seconds:
        with of:
            timers.now += one


def test_frames_share_the_time_of_their_object(timers: Timers) -> None:
    """The timer of each frame is what is left, or the limit of one frame if that is less."""
    decode_frames(limit(4, stored_bytes=70 * 256 * 1024), timers, 10, 50, 15, 1)
    assert timers.real == [60, 60, 20, 5]


def test_frames_without_time_end_at_once(timers: Timers) -> None:
    """A timer of 0 s would never fire."""
    decode_frames(limit(3), timers, 9, 2, 0)
    assert timers.real == [10, 1, 0.001]


def test_a_single_frame_keeps_its_limit(timers: Timers) -> None:
    """Its bytes do not matter, and a second pass over it has the same limit."""
    decode_frames(limit(1), timers, 50, 50)
    assert timers.real == [60, 60]


@pytest.mark.parametrize(
    ("frames", "before", "detail"),
    [
        (1, [], "Decoding frame 1 took longer than image_timeout_seconds (60 s)."),
        (
            3,
            [9.0],
            (
                "Decoding was stopped at frame 2: the 3 frames together took longer than 11 s, the limit for 262,144 "
                "bytes of stored pixel data."
            ),
        ),
    ],
)
def test_the_outcome_names_the_limit_and_the_frame(
    timers: Timers, frames: int, before: list[float], detail: str
) -> None:
    """An operator learns whether one frame hangs, or the object as a whole is too slow."""
    of = limit(frames, stored_bytes=256 * 1024)
    decode_frames(of, timers, *before)
    with pytest.raises(ImageError) as caught, of:
        raise ImageError(Reason.TIMEOUT)
    assert (caught.value.reason, caught.value.detail) == (Reason.TIMEOUT, detail)


def test_other_errors_pass_unchanged(timers: Timers) -> None:
    """A broken frame keeps its own reason."""
    error = ImageError(Reason.BAD_PIXELS)
    with pytest.raises(ImageError) as caught, limit(2):
        raise error
    assert caught.value is error
    assert timers.real == [10]
