"""Turn the bytes of an image into network inputs, within a time limit."""

import signal
from collections.abc import Iterator, Sequence
from functools import cache
from types import FrameType

import numpy as np
from numpy.typing import NDArray

from imaging.dicom_image import DicomImage
from imaging.kind import GREY, ImageKind
from imaging.prepare import prepare
from imaging.read import read
from imaging.read_kind import is_grey, read_kind
from imaging.spec import InputSpec
from nightread.errors import ImageError
from nightread.reasons import Reason
from worker.context import WorkerContext

Inputs = NDArray[np.float32]

_GRACE_SECONDS = 5
_MAX_CHUNK_FRAMES = 64
_MAX_CHUNK_BYTES = 64 * 1024**2
"""A chunk has at most 64 frames and 64 MiB of prepared frames, so that the memory of a cine is bounded."""


def open_dicom_image(context: WorkerContext, data: bytes) -> DicomImage:
    """Parse the header of one DICOM object; pixel data stay undecoded. Raises RejectImage and ImageError(timeout)."""
    with _time_limit(context.settings.image_timeout_seconds):
        return read(data, limits=context.limits, patient=context.patient, accept_raster=context.settings.accept_raster)


def kind_of(dicom_image: DicomImage, context: WorkerContext, *, if_grey: bool) -> ImageKind:
    """Return the kind of the image. With `if_grey`, a coloured image whose channels are equal counts as a grey one.

    For this the first frame of a coloured image is decoded. Raises RejectImage and ImageError(timeout).
    """
    kind = read_kind(dicom_image)
    if not if_grey or kind.samples == GREY:
        return kind
    with _time_limit(context.settings.image_timeout_seconds):
        grey = is_grey(next(dicom_image.frames()))
    return kind._replace(samples=GREY, photometric="MONOCHROME2") if grey else kind


def frames_per_chunk(frame_bytes: int) -> int:
    """Return the number of frames in a chunk: at most 64, at most 64 MiB of prepared frames, at least 1.

    `frame_bytes` is the memory that one frame takes after it is prepared for all input specs.
    """
    return max(1, min(_MAX_CHUNK_FRAMES, _MAX_CHUNK_BYTES // max(frame_bytes, 1)))


def decode_in_chunks(
    dicom_image: DicomImage, specs: Sequence[InputSpec], context: WorkerContext, *, chunk_frames: int
) -> Iterator[tuple[Inputs, ...]]:
    """Yield chunks of prepared frames: one array (up to `chunk_frames`, height, width, channels) for each of the specs.

    Each frame is decoded once and prepared for every spec. Raises RejectImage, and ImageError(timeout) if a single
    frame takes longer than `image_timeout_seconds`.
    """
    seconds = context.settings.image_timeout_seconds
    frames = iter(dicom_image.frames())
    remaining = dicom_image.frame_count
    while remaining > 0:
        inputs = []
        for _ in range(min(remaining, chunk_frames)):
            with _time_limit(seconds):
                frame = next(frames)
                inputs.append([prepare(frame, spec) for spec in specs])
        remaining -= len(inputs)
        yield tuple(_stack(prepared) for prepared in zip(*inputs, strict=True))


def _stack(frames: Sequence[Inputs]) -> Inputs:
    """Return an array (frames, height, width, channels). A single frame is not copied."""
    return frames[0][None] if len(frames) == 1 else np.stack(frames)


def stop_timers() -> None:
    """Stop both timers of the time limit.

    Error handling calls this too: if the alarm fires while the time limit ends, one timer would keep running.
    """
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)


class _time_limit:  # noqa: N801 - used like a function; three times faster than contextlib.contextmanager, which counts per image
    """Raises ImageError(timeout) if the body of the `with` statement takes longer than `seconds`.

    A decoder that is stuck in C code never returns to Python, so the exception is not raised. After `seconds` plus 5 s
    of processor time the kernel ends the process (SIGPROF, default action), and its successor requeues the images.
    """

    __slots__ = ("_seconds",)

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        _install_alarm_handler()
        signal.setitimer(signal.ITIMER_PROF, self._seconds + _GRACE_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *_error: object) -> None:
        stop_timers()


@cache
def _install_alarm_handler() -> None:
    """Install the handler once per process: that costs more than setting the timer, which is done for each image."""
    signal.signal(signal.SIGALRM, _raise_timeout)


def _raise_timeout(_signal: int, _frame: FrameType | None) -> None:
    raise ImageError(Reason.TIMEOUT)
