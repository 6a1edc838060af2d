"""One part of a data set, made ready for training: undecodable frames left out, inputs in memory where they fit."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.spec import InputSpec
from models.datasets.dataset import Examples
from nightread.errors import RejectImage, RetryImage, StopWork

Progress = Callable[[int], object]
_LOT = 64


@dataclass(frozen=True, kw_only=True)
class PreparedExamples(Examples):
    """Examples whose inputs for one InputSpec lie in memory."""

    spec: InputSpec
    prepared: NDArray[np.float32]
    """(frames, height, width, channels)."""

    def inputs(self, frames: Any, spec: InputSpec) -> NDArray[np.float32]:
        """From memory; another spec than the one they were prepared for is prepared anew."""
        return self.prepared[np.asarray(frames)] if spec == self.spec else super().inputs(frames, spec)


@dataclass(frozen=True, kw_only=True)
class _Subset(Examples):
    """Some frames of a part, read in the way of the whole part."""

    whole: Examples
    frames: NDArray[np.int64]
    """Their numbers in the whole part."""

    def inputs(self, frames: Any, spec: InputSpec) -> NDArray[np.float32]:
        return self.whole.inputs(self.frames[np.asarray(frames, np.int64)], spec)


def prepared_bytes(examples: Examples, spec: InputSpec) -> int:
    """How much memory all inputs of a part take."""
    return len(examples) * int(np.prod(spec.shape)) * np.dtype(np.float32).itemsize


def in_memory(examples: Examples, spec: InputSpec, progress: Progress) -> tuple[Examples, int]:
    """A part with its inputs prepared once, without frames that cannot be decoded, and their number.

    Raises StopWork for a file that is gone.
    """
    inputs = np.empty((len(examples), *spec.shape), np.float32)

    def prepare(rows: NDArray[np.int64]) -> None:
        inputs[rows] = examples.inputs(rows, spec)

    sound = _sound_frames(examples, prepare, progress)
    kept = without(examples, ~sound)
    of_kept = {field.name: getattr(kept, field.name) for field in fields(Examples)}
    held = inputs if sound.all() else inputs[sound]
    return PreparedExamples(**of_kept, spec=spec, prepared=held), int((~sound).sum())


def decodable(examples: Examples, spec: InputSpec, progress: Progress) -> tuple[Examples, int]:
    """A part without frames that cannot be decoded, and their number; costs one preparing of all.

    A streamed training would meet such a frame deep within Keras. Raises StopWork for a file that is gone.
    """

    def prepare(rows: NDArray[np.int64]) -> None:
        examples.inputs(rows, spec)  # a file of many frames is read once for all of them, not once for each

    sound = _sound_frames(examples, prepare, progress)
    return without(examples, ~sound), int((~sound).sum())


def without(examples: Examples, left_out: NDArray[np.bool_]) -> Examples:
    """A part without some frames, (frames,) bool; images that have no frame left go too."""
    if not left_out.any():
        return examples
    frames = np.flatnonzero(~left_out)
    images, image_of = np.unique(examples.image_of[frames], return_inverse=True)
    load = examples.load
    return _Subset(
        truth=examples.truth[images],
        image_of=image_of.astype(np.int64),
        patients=None if examples.patients is None else examples.patients[images],
        names=[examples.names[image] for image in images],
        load=lambda number: load(int(frames[number])),
        whole=examples,
        frames=frames,
    )


def _sound_frames(
    examples: Examples, use: Callable[[NDArray[np.int64]], None], progress: Progress
) -> NDArray[np.bool_]:
    """Which frames `use` could decode; in parallel, as decoders release the lock of Python."""
    sound = np.ones(len(examples), bool)

    def one_lot(rows: NDArray[np.int64]) -> int:
        try:
            use(rows)
        except RejectImage:
            for row in rows:
                sound[row] = _is_sound(row, use)
        return len(rows)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        try:
            for done in pool.map(one_lot, _lots(len(examples))):
                progress(done)
        except RetryImage as error:
            raise StopWork(f"the data changed while they were read: {error.detail} Start again.") from error
        finally:
            pool.shutdown(cancel_futures=True)  # an error, or Ctrl-C, does not wait for thousands of files
    return sound


def _is_sound(row: np.int64, use: Callable[[NDArray[np.int64]], None]) -> bool:
    try:
        use(np.array([row]))
    except RejectImage:
        return False
    return True


def _lots(count: int) -> Iterator[NDArray[np.int64]]:
    for begin in range(0, count, _LOT):
        yield np.arange(begin, min(begin + _LOT, count))
