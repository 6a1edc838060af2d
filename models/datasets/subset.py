"""Leave frames out of a part of a data set."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.spec import InputSpec
from models.datasets.dataset import Examples


@dataclass(frozen=True, kw_only=True)
class _Subset(Examples):
    """Some frames of a part, which are read through the complete part."""

    whole: Examples
    frames: NDArray[np.int64]
    """For each frame of this subset, its index in `whole`."""

    def inputs(self, frames: Any, spec: InputSpec) -> NDArray[np.float32]:
        return self.whole.inputs(self.frames[np.asarray(frames, np.int64)], spec)


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
        stacks=None if examples.stacks is None else [examples.stacks[image] for image in images],
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
