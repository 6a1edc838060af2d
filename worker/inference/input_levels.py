"""Collect the intensity levels (percentiles) of prepared frames, and return their mean for each image."""

from collections.abc import Iterable

import numpy as np

from nightread.drift.levels import Levels, pack


class InputLevels:
    """The intensity levels of all frames of a batch, in the order in which the network got the frames."""

    def __init__(self) -> None:
        self._frames: list[tuple[int, int]] = []
        self._levels: list[Levels] = []

    def add(self, frames: Iterable[tuple[int, int]], levels: Levels) -> None:
        """Add levels (n, percentiles) of frames; `frames` has the work id and the number of frames of each image."""
        self._frames.extend(frames)
        self._levels.append(levels)

    def by_image(self) -> dict[int, int]:
        """Return the packed levels of each image by work id: the mean over its frames, which are consecutive."""
        if not self._levels:
            return {}
        levels = np.concatenate(self._levels)
        work_ids = [work_id for work_id, _ in self._frames]
        if len(work_ids) == len(levels):  # one frame per image: a fast path, unless an image was added in parts
            found = dict(zip(work_ids, pack(levels), strict=True))
            if len(found) == len(levels):
                return found
        of_frames = np.repeat(work_ids, [frames for _, frames in self._frames])
        begins = np.flatnonzero(np.diff(of_frames, prepend=of_frames[0] - 1))
        counts = np.diff(begins, append=len(of_frames))
        means = np.rint(np.add.reduceat(levels, begins, axis=0, dtype=np.float64) / counts[:, None])
        return dict(zip(of_frames[begins].tolist(), pack(means.astype(np.uint8)), strict=True))
