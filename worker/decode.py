"""From bytes to network inputs, with an end to what hangs."""

import signal
from collections.abc import Iterator, Sequence
from functools import cache
from types import FrameType

import numpy as np
from numpy.typing import NDArray

from imaging.dicom_image import DicomImage
from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec
from nightread.errors import ImageError
from nightread.reasons import Reason
from worker.context import WorkerContext

Inputs = NDArray[np.float32]

_GRACE_SECONDS = 5
_FRAMES_AT_ONCE = 64
_BYTES_AT_ONCE = 64 * 1024**2
"""A long cine is prepared and scored piece by piece, so that its memory does not grow with its length."""


def open_dicom_image(context: WorkerContext, data: bytes) -> DicomImage:
    """Parse the header of one object. Raises RejectImage and ImageError(timeout)."""
    with _ended_after(context.settings.image_timeout_seconds):
        return read(data, limits=context.limits, patient=context.patient, accept_raster=context.settings.accept_raster)


def frames_at_once(frame_bytes: int) -> int:
    """How many frames of so many prepared bytes make a chunk: 64, or fewer large ones, at least 1."""
    return max(1, min(_FRAMES_AT_ONCE, _BYTES_AT_ONCE // max(frame_bytes, 1)))


def chunks_of(
    dicom_image: DicomImage, specs: Sequence[InputSpec], context: WorkerContext, *, at_once: int
) -> Iterator[tuple[Inputs, ...]]:
    """Prepared frames, (up to `at_once`, height, width, channels) each: decoded once, prepared for each of the specs.

    Raises RejectImage, and ImageError(timeout) where a single frame takes too long.
    """
    seconds = context.settings.image_timeout_seconds
    frames = iter(dicom_image.frames())
    left = dicom_image.frame_count
    while left > 0:
        inputs = []
        for _ in range(min(left, at_once)):
            with _ended_after(seconds):
                frame = next(frames)
                inputs.append([prepare(frame, spec) for spec in specs])
        left -= len(inputs)
        yield tuple(_together(prepared) for prepared in zip(*inputs, strict=True))


def _together(frames: Sequence[Inputs]) -> Inputs:
    """(n, height, width, channels); a single frame is not copied."""
    return frames[0][None] if len(frames) == 1 else np.stack(frames)


def stop_timers() -> None:
    """For whoever handles an image's error too: an alarm in the moment of stopping them leaves one running."""
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)


class _ended_after:  # noqa: N801 - used as a function; a class costs a third of a generator, twice for each image
    """Raise ImageError(timeout) inside what runs longer; what does not even hear of that dies with its process.

    A decoder that is stuck in C never comes back to Python. When it has burnt that much processor time and a little
    more, the kernel ends the process (SIGPROF, default action), and the next one gives its images back.
    """

    __slots__ = ("_seconds",)

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        _listen_for_the_alarm()
        signal.setitimer(signal.ITIMER_PROF, self._seconds + _GRACE_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *_error: object) -> None:
        stop_timers()


@cache
def _listen_for_the_alarm() -> None:
    """Once per process: setting a handler costs more than setting the timer, which is done for each image."""
    signal.signal(signal.SIGALRM, _time_is_up)


def _time_is_up(_signal: int, _frame: FrameType | None) -> None:
    raise ImageError(Reason.TIMEOUT)
