"""Prepare one part of a data set for training: leave out undecodable frames, keep inputs in memory."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.spec import InputSpec
from models.datasets.dataset import Examples
from models.datasets.subset import without_frames
from nightread.errors import RejectImage, RetryImage, StopWork

Progress = Callable[[int], object]
_CHUNK_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class PreparedExamples(Examples):
    """Examples whose inputs for one InputSpec are in memory."""

    spec: InputSpec
    prepared: NDArray[np.float32]
    """The inputs, (frames, height, width, channels)."""
    source: Examples
    """The same examples without inputs in memory; they decode and prepare the inputs for any other InputSpec."""

    def inputs(self, frames: Any, spec: InputSpec) -> NDArray[np.float32]:
        """Return the inputs from memory.

        For an InputSpec other than `self.spec`, decode the images and prepare the inputs again.
        """
        return self.prepared[np.asarray(frames)] if spec == self.spec else self.source.inputs(frames, spec)


def prepared_bytes(examples: Examples, spec: InputSpec) -> int:
    """Return how many bytes of memory the inputs of a part take."""
    return len(examples) * int(np.prod(spec.shape)) * np.dtype(np.float32).itemsize


def in_memory(examples: Examples, spec: InputSpec, progress: Progress) -> tuple[Examples, int]:
    """Return a part with its inputs in memory and without undecodable frames, and the number of these frames.

    Raises StopWork if a file no longer exists.
    """
    inputs = np.empty((len(examples), *spec.shape), np.float32)

    def prepare(rows: NDArray[np.int64]) -> None:
        inputs[rows] = examples.inputs(rows, spec)

    valid = _decodable_frames(examples, prepare, progress)
    kept = without_frames(examples, ~valid)
    kept_fields = {field.name: getattr(kept, field.name) for field in fields(Examples)}
    kept_inputs = inputs if valid.all() else inputs[valid]
    return PreparedExamples(**kept_fields, spec=spec, prepared=kept_inputs, source=kept), int((~valid).sum())


def decodable(examples: Examples, spec: InputSpec, progress: Progress) -> tuple[Examples, int]:
    """Return a part without its undecodable frames, and the number of these frames.

    Each frame is decoded once to check it: in an epoch, an undecodable frame would cause an error inside Keras. Raises
    StopWork if a file no longer exists.
    """

    def prepare(rows: NDArray[np.int64]) -> None:
        examples.inputs(rows, spec)  # by chunk: a file of many frames is read once, not once per frame

    valid = _decodable_frames(examples, prepare, progress)
    return without_frames(examples, ~valid), int((~valid).sum())


def _decodable_frames(
    examples: Examples, use: Callable[[NDArray[np.int64]], None], progress: Progress
) -> NDArray[np.bool_]:
    """Return (frames,) bool: True if `use` could decode the frame. Threads help, because decoders release the GIL."""
    valid = np.ones(len(examples), bool)

    def use_chunk(rows: NDArray[np.int64]) -> int:
        try:
            use(rows)
        except RejectImage:
            for row in rows:
                valid[row] = _is_decodable(row, use)
        return len(rows)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        try:
            for done in pool.map(use_chunk, _chunks(len(examples))):
                progress(done)
        except RetryImage as error:
            raise StopWork(f"the data set changed while it was read: {error.detail} Start again.") from error
        finally:
            pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C, do not wait for thousands of files
    return valid


def _is_decodable(row: np.int64, use: Callable[[NDArray[np.int64]], None]) -> bool:
    try:
        use(np.array([row]))
    except RejectImage:
        return False
    return True


def _chunks(count: int) -> Iterator[NDArray[np.int64]]:
    for begin in range(0, count, _CHUNK_SIZE):
        yield np.arange(begin, min(begin + _CHUNK_SIZE, count))
