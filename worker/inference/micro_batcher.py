"""Collect frames of several images into micro-batches, and return the scores of each image."""

import logging
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Executor, Future

import numpy as np
from numpy.typing import NDArray

from models.drift_values import to_levels
from models.input_range import NEAR, InputRange, percentiles
from nightread.drift.levels import PERCENTILES
from nightread.errors import ImageError
from nightread.reasons import Reason
from worker.errors import NetworkBrokenError
from worker.inference.input_levels import InputLevels
from worker.inference.predictor import Inputs, Predictor, Scores
from worker.phase_timer import PhaseTimer

log = logging.getLogger(__name__)

Waiting = list[tuple[int, Inputs]]


class MicroBatcher:
    """Scores prepared frames of many images together with one network, and returns the scores by image."""

    def __init__(
        self,
        predictor: Predictor,
        network_thread: Executor | None = None,
        *,
        is_shadow: bool = False,
        timer: PhaseTimer | None = None,
        input_range: InputRange | None = None,
    ) -> None:
        """Create a batcher.

        If `network_thread` (an executor with one thread) is given, the network runs in it while the caller decodes.
        Set `is_shadow` if only shadow rules use the network. If such a network fails, only its own results are lost;
        if another network fails, the whole batch fails. The phase `predict` of `timer` is the time for which the caller
        waits for the network. Frames whose intensities are outside of `input_range` are noted in `unusual`.
        """
        self.errors: dict[int, ImageError] = {}
        """Errors of images that have no scores, by work id: too little device memory, or a failed shadow network."""
        self.unusual: dict[int, list[float]] = defaultdict(list)
        """The distances of frames outside of the range (InputRange.distances), by the work id of their image."""
        self.levels = InputLevels()
        """The intensities of the prepared frames."""
        self._predictor = predictor
        self._input_range = input_range
        self._network_thread = network_thread
        self._is_shadow = is_shadow
        self._timer = timer or PhaseTimer()
        self._submitted: tuple[Future[Scores], Waiting] | None = None
        self._waiting: Waiting = []
        self._frames_waiting = 0
        self._scores: dict[int, list[Scores]] = defaultdict(list)

    def add(self, work_id: int, inputs: Inputs) -> None:
        """Add frames (n, height, width, channels) float32 of one image. Runs the network if a micro-batch is full.

        Raises NetworkBrokenError.
        """
        self._waiting.append((work_id, inputs))
        self._frames_waiting += len(inputs)
        if self._frames_waiting >= self._predictor.largest:
            self._submit()

    def finish(self) -> dict[int, Scores]:
        """Return the scores (frames, labels) of each image, by work id, without images in `errors`.

        Raises NetworkBrokenError.
        """
        self._submit()
        self._collect_submitted()
        return {
            work_id: parts[0] if len(parts) == 1 else np.concatenate(parts)
            for work_id, parts in self._scores.items()
            if work_id not in self.errors
        }

    def _submit(self) -> None:
        """Pass all waiting frames to the network, after it has finished the frames of the last call.

        So the frames of at most one call are in the network, and memory is bounded.
        """
        if not self._waiting:
            return
        self._collect_submitted()
        waiting, self._waiting, self._frames_waiting = self._waiting, [], 0
        inputs = waiting[0][1] if len(waiting) == 1 else np.concatenate([inputs for _, inputs in waiting])
        self._measure(waiting, inputs)
        if self._network_thread is not None:
            self._submitted = self._network_thread.submit(self._predictor.scores, inputs), waiting
            return
        self._store_scores(waiting, lambda: self._predictor.scores(inputs))

    def _measure(self, waiting: Waiting, inputs: Inputs) -> None:
        spec, expected = self._predictor.bundle.spec, self._input_range
        found = percentiles(inputs, PERCENTILES)
        self.levels.add([(work_id, len(frames)) for work_id, frames in waiting], to_levels(found, spec))
        if expected is not None:
            compared = found if expected.percentiles == PERCENTILES else percentiles(inputs, expected.percentiles)
            self._note_unusual(waiting, expected.distances_of(compared, spec))

    def _note_unusual(self, waiting: Waiting, distances: NDArray[np.float64]) -> None:
        outside = distances > NEAR
        if not outside.any():
            return
        begin = 0
        for work_id, inputs in waiting:
            of_image = distances[begin : begin + len(inputs)]
            if (found := of_image[of_image > NEAR]).size:
                self.unusual[work_id] += found.tolist()
            begin += len(inputs)

    def _collect_submitted(self) -> None:
        if self._submitted is not None:
            (future, waiting), self._submitted = self._submitted, None
            self._store_scores(waiting, future.result)

    def _store_scores(self, waiting: Waiting, run: Callable[[], Scores]) -> None:
        try:
            with self._timer.phase("predict"):
                scores = run()
        except ImageError as error:
            self.errors.update((work_id, error) for work_id, _ in waiting)
            return
        except Exception as error:
            if not self._is_shadow:
                raise NetworkBrokenError from error
            log.exception("a shadow network failed: its images have no shadow result, their answers are not affected")
            failure = ImageError(Reason.INTERNAL_ERROR, "The network failed; see the worker's log.")
            self.errors.update((work_id, failure) for work_id, _ in waiting)
            return
        begin = 0
        for work_id, inputs in waiting:
            self._scores[work_id].append(scores[begin : begin + len(inputs)])
            begin += len(inputs)
