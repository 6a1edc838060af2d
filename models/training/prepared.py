"""Prepare one part of a data set for training: leave out undecodable frames, keep inputs in memory."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.spec import InputSpec
from models.datasets.dataset import Examples
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
    """The same examples, not in memory. They prepare inputs for any other InputSpec, with the neighbours of a slice."""

    def inputs(self, frames: Any, spec: InputSpec) -> NDArray[np.float32]:
        """Return inputs from memory; for another InputSpec than `self.spec`, decode and prepare them again."""
        return self.prepared[np.asarray(frames)] if spec == self.spec else self.source.inputs(frames, spec)


@dataclass(frozen=True, kw_only=True)
class _Subset(Examples):
    """Some frames of a part, which are read through the complete part."""

    whole: Examples
    frames: NDArray[np.int64]
    """Indices of these frames in `whole`."""

    def inputs(self, frames: Any, spec: InputSpec) -> NDArray[np.float32]:
        return self.whole.inputs(self.frames[np.asarray(frames, np.int64)], spec)


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
    """Return a part without undecodable frames, and the number of these frames; all frames are prepared once.

    If each epoch decodes the images, such a frame would cause an error inside Keras. Raises StopWork if a file no
    longer exists.
    """

    def prepare(rows: NDArray[np.int64]) -> None:
        examples.inputs(rows, spec)  # by chunk: a file of many frames is read once, not once per frame

    valid = _decodable_frames(examples, prepare, progress)
    return without_frames(examples, ~valid), int((~valid).sum())


def without_frames(examples: Examples, left_out: NDArray[np.bool_]) -> Examples:
    """Return a part without the frames of `left_out`, (frames,) bool, and without images that lose all frames."""
    if not left_out.any():
        return examples
    frames = np.flatnonzero(~left_out)
    images, image_of = np.unique(examples.image_of[frames], return_inverse=True)
    load, facts = examples.load, examples.facts
    return _Subset(
        truth=examples.truth[images],
        image_of=image_of.astype(np.int64),
        patients=None if examples.patients is None else examples.patients[images],
        names=[examples.names[image] for image in images],
        load=lambda number: load(int(frames[number])),
        facts=None if facts is None else lambda image: facts(int(images[image])),
        slice_truth=None if examples.slice_truth is None else examples.slice_truth[frames],
        gap_behind=_gap_behind(examples, left_out),
        whole=examples,
        frames=frames,
    )


def _gap_behind(examples: Examples, left_out: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return for each kept frame whether a slice is missing after it; slices of `left_out` count as missing."""
    if examples.gap_behind is None:
        return None
    kept = np.flatnonzero(~left_out)
    gaps = np.zeros(len(kept), bool)
    for place, (here, behind) in enumerate(pairwise(kept)):
        same_stack = examples.image_of[here] == examples.image_of[behind]
        gaps[place] = same_stack and (behind > here + 1 or examples.gap_behind[here])
    return gaps


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
