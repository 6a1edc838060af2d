"""Turn the bytes of an image into network inputs, within a time limit."""

import signal
import time
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from types import FrameType

import numpy as np
from numpy.typing import NDArray

from imaging.budget import object_seconds
from imaging.dicom_image import DicomImage, Frame
from imaging.kind import ImageKind
from imaging.prepare import prepare
from imaging.read import read
from imaging.read_kind import read_kind, shown_kind
from imaging.spec import InputSpec
from nightread.errors import ImageError
from nightread.reasons import Reason
from nightread.sources import accepts_pictures
from worker.context import WorkerContext
from worker.model_notes import ModelNotes

Inputs = NDArray[np.float32]

_NO_INPUTS = np.empty(0, np.float32)
_GRACE_SECONDS = 5
_LEAST_SECONDS = 0.001
"""Shortest time of a timer; a timer of 0 s would never fire."""
_MAX_CHUNK_FRAMES = 64
_MAX_CHUNK_BYTES = 64 * 1024**2
"""A chunk has at most 64 frames and 64 MiB of prepared frames, so that the memory of a cine is bounded."""


def open_dicom_image(context: WorkerContext, data: bytes, origin: str) -> DicomImage:
    """Parse the header of one DICOM object; pixel data stay undecoded. Raises RejectImage and ImageError(timeout).

    `origin` is the name of the source from which the object came.
    """
    accept_raster = accepts_pictures(origin, accept_raster=context.settings.accept_raster)
    with _time_limit(context.settings.image_timeout_seconds):
        return read(data, limits=context.limits, patient=context.patient, accept_raster=accept_raster)


def kind_of(dicom_image: DicomImage, context: WorkerContext) -> ImageKind:
    """Return the kind of the image. If the domain of no model depends on colour, the header alone decides.

    Otherwise, frames of an image that is stored in colours are decoded. If a model takes only coloured images, these
    are all frames up to the first coloured one. If not, it is the first frame, and ModelNotes checks the later frames
    when they are prepared. Raises RejectImage and ImageError(timeout).
    """
    models = context.model_set
    if not models.depends_on_colour:
        return read_kind(dicom_image)
    frames = None if models.needs_colour else 1
    return shown_kind(dicom_image, islice(_timed(dicom_image, context.settings.image_timeout_seconds), frames))


def _timed(dicom_image: DicomImage, seconds: float) -> Iterator[Frame]:
    frames = iter(dicom_image.frames())
    limit = _FrameLimit(dicom_image, seconds)
    for _ in range(dicom_image.frame_count):
        with limit:
            frame = next(frames)
        yield frame


def timed_frame(dicom_image: DicomImage, index: int, seconds: float) -> Frame:
    """Decode one frame. Raises RejectImage, and ImageError(timeout) like `decode_in_chunks`."""
    with _FrameLimit(dicom_image, seconds):
        return dicom_image.frame(index)


def frames_per_chunk(frame_bytes: int) -> int:
    """Return the number of frames in a chunk: at most 64, at most 64 MiB of prepared frames, at least 1.

    `frame_bytes` is the memory that one frame takes after it is prepared for all input specs.
    """
    return max(1, min(_MAX_CHUNK_FRAMES, _MAX_CHUNK_BYTES // max(frame_bytes, 1)))


def decode_in_chunks(
    dicom_image: DicomImage, specs: Sequence[InputSpec], context: WorkerContext, *, chunk_frames: int, notes: ModelNotes
) -> Iterator[tuple[Inputs, ...]]:
    """Yield chunks of prepared frames: one array (up to `chunk_frames`, height, width, channels) for each of the specs.

    Each frame is decoded once and prepared for every spec. Refusals and remarks for single specs go to `notes`. The
    array of a spec whose models are refused is empty; decoding ends when all models are refused. Raises RejectImage.
    Raises ImageError(timeout) if a single frame takes longer than `image_timeout_seconds`, or if all frames together
    take longer than imaging.budget allows.
    """
    limit = _FrameLimit(dicom_image, context.settings.image_timeout_seconds)
    frames = iter(dicom_image.frames())
    remaining = dicom_image.frame_count
    have_meanings = any(spec.meanings for spec in specs)  # if a channel needs neighbours, a single image is refused
    while remaining > 0:
        count = min(remaining, chunk_frames)
        chunk = [np.empty((count, *spec.shape), np.float32) for spec in specs]
        prepared: Sequence[Inputs | None] = chunk
        for index in range(count):
            with limit:
                frame = next(frames)
                if notes.if_coloured is not None:
                    notes.look_at_colour(frame)
                out = [inputs[index] for inputs in chunk]
                if frame.grayscale.voi_fault or notes.apart or have_meanings:
                    prepared = notes.prepare_apart(frame, specs, out)
                else:
                    for spec, place in zip(specs, out, strict=True):
                        prepare(frame, spec, place)
        if notes.refused and notes.nobody_left:
            return
        remaining -= count
        # A spec that was refused for one frame is refused for all later frames too.
        yield tuple(_NO_INPUTS if last is None else inputs for inputs, last in zip(chunk, prepared, strict=True))


def stop_timers() -> None:
    """Stop both timers of the time limit.

    Error handling must call this too: if the alarm fires while the time limit ends, one timer keeps running.
    """
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)


class _time_limit:  # noqa: N801 - used like a function; contextlib.contextmanager takes three times as long per image
    """Raises ImageError(timeout) if the body of the `with` statement takes longer than `seconds`.

    While a codec is stuck in C code, Python cannot raise the exception. Therefore the kernel ends the process after
    `seconds` plus 5 s of processor time (SIGPROF, default action). The process that replaces it requeues the images.
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


class _FrameLimit:
    """Limits the time of each frame of an object, and of all its frames together. It is entered once per frame.

    Raises ImageError(timeout) like _time_limit, with the number of the frame and the limit.
    """

    __slots__ = ("_began", "_image", "_left", "_limit", "_number", "_seconds", "_several")

    def __init__(self, dicom_image: DicomImage, seconds: float) -> None:
        self._image = dicom_image
        self._seconds = self._limit = self._left = seconds
        self._several = dicom_image.frame_count > 1  # most objects have one frame, and need no clock
        self._number = 0
        if self._several:
            self._limit = self._left = object_seconds(dicom_image.frame_count, dicom_image.stored_bytes, seconds)

    def __enter__(self) -> None:
        self._number += 1
        seconds = self._seconds
        if self._several:
            self._began = time.monotonic()
            seconds = max(min(seconds, self._left), _LEAST_SECONDS)
        _install_alarm_handler()
        signal.setitimer(signal.ITIMER_PROF, seconds + _GRACE_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        stop_timers()
        if isinstance(error, ImageError) and error.reason is Reason.TIMEOUT:
            is_of_frame = self._left >= self._seconds
            raise ImageError(Reason.TIMEOUT, self._of_frame() if is_of_frame else self._of_object()) from None
        if self._several:
            self._left -= time.monotonic() - self._began

    def _of_frame(self) -> str:
        return f"Decoding frame {self._number} took longer than image_timeout_seconds ({self._seconds:g} s)."

    def _of_object(self) -> str:
        return (
            f"Decoding was stopped at frame {self._number}: the {self._image.frame_count:,} frames together took "
            f"longer than {self._limit:.0f} s, the limit for {self._image.stored_bytes:,} bytes of stored pixel data."
        )


@cache
def _install_alarm_handler() -> None:
    """Install the handler once per process: installing it takes longer than setting the timers."""
    signal.signal(signal.SIGALRM, _raise_timeout)


def _raise_timeout(_signal: int, _frame: FrameType | None) -> None:
    raise ImageError(Reason.TIMEOUT)
