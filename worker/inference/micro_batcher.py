"""Frames in, scores out: fills micro-batches across images."""

import logging
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Executor, Future

import numpy as np

from nightread.errors import ImageError
from nightread.reasons import Reason
from worker.errors import NetworkBrokenError
from worker.inference.predictor import Inputs, Predictor, Scores
from worker.phase_timer import PhaseTimer

log = logging.getLogger(__name__)

Waiting = list[tuple[int, Inputs]]


class MicroBatcher:
    """Collects prepared frames of many images, has them scored together, and hands the scores back by image."""

    def __init__(
        self,
        predictor: Predictor,
        network_thread: Executor | None = None,
        *,
        on_trial: bool = False,
        timer: PhaseTimer | None = None,
    ) -> None:
        """With `ahead`, an executor of one thread, the network works there while the caller decodes what comes next.

        A network `on_trial` that breaks refuses its images; any other one ends the batch. The `timer` counts for the
        phase `predict` how long the caller waits for the network.
        """
        self.refused: dict[int, ImageError] = {}
        """Why an image has no scores, by its row of work: the device had no room for a single frame."""
        self._predictor = predictor
        self._network_thread = network_thread
        self._on_trial = on_trial
        self._timer = timer or PhaseTimer()
        self._in_network: tuple[Future[Scores], Waiting] | None = None
        self._waiting: Waiting = []
        self._frames_waiting = 0
        self._scores: dict[int, list[Scores]] = defaultdict(list)

    def add(self, work_id: int, inputs: Inputs) -> None:
        """Frames (n, height, width, channels) of one image; may run the network. Raises NetworkBrokenError."""
        self._waiting.append((work_id, inputs))
        self._frames_waiting += len(inputs)
        if self._frames_waiting >= self._predictor.largest:
            self._score()

    def finish(self) -> dict[int, Scores]:
        """Scores (frames, labels) of each image added, by its row of work. Raises NetworkBrokenError."""
        self._score()
        self._collect()
        return {
            work_id: parts[0] if len(parts) == 1 else np.concatenate(parts)
            for work_id, parts in self._scores.items()
            if work_id not in self.refused
        }

    def _score(self) -> None:
        """Hand the frames that wait to the network; at most one lot is there, so memory stays bounded."""
        if not self._waiting:
            return
        self._collect()
        waiting, self._waiting, self._frames_waiting = self._waiting, [], 0
        inputs = np.concatenate([inputs for _, inputs in waiting])
        if self._network_thread is not None:
            self._in_network = self._network_thread.submit(self._predictor.scores, inputs), waiting
            return
        self._keep(waiting, lambda: self._predictor.scores(inputs))

    def _collect(self) -> None:
        if self._in_network is not None:
            (future, waiting), self._in_network = self._in_network, None
            self._keep(waiting, future.result)

    def _keep(self, waiting: Waiting, answer: Callable[[], Scores]) -> None:
        try:
            with self._timer.phase("predict"):
                scores = answer()
        except ImageError as error:
            self.refused.update((work_id, error) for work_id, _ in waiting)
            return
        except Exception as error:
            if not self._on_trial:
                raise NetworkBrokenError from error
            log.exception("a network on trial failed: its images go without its result")
            refusal = ImageError(Reason.INTERNAL_ERROR, "The network failed; the log has the place.")
            self.refused.update((work_id, refusal) for work_id, _ in waiting)
            return
        begin = 0
        for work_id, inputs in waiting:
            self._scores[work_id].append(scores[begin : begin + len(inputs)])
            begin += len(inputs)
