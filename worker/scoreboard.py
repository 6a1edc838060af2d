"""Frames in, scores out: fills micro-batches across images."""

import time
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from nightread.errors import FateError
from worker.errors import NetworkBrokenError
from worker.predict import Predictor


class Scoreboard:
    """Collects prepared frames of many images, has them scored together, and hands the scores back by image."""

    def __init__(self, predictor: Predictor | None) -> None:
        self.seconds = 0.0
        """Spent in the network."""
        self.refused: dict[int, FateError] = {}
        """Why an image has no scores, by its row of work: the device had no room for a single frame."""
        self._predictor = predictor
        self._waiting: list[tuple[int, NDArray[np.float32]]] = []
        self._frames_waiting = 0
        self._scores: dict[int, list[NDArray[np.float32]]] = defaultdict(list)

    def add(self, work_id: int, inputs: NDArray[np.float32]) -> None:
        """Frames (n, height, width, channels) of one image; may run the network. Raises NetworkBrokenError."""
        self._waiting.append((work_id, inputs))
        self._frames_waiting += len(inputs)
        if self._predictor is not None and self._frames_waiting >= self._predictor.largest:
            self._score()

    def finish(self) -> dict[int, NDArray[np.float32]]:
        """Scores (frames, labels) of each image added, by its row of work. Raises NetworkBrokenError."""
        self._score()
        return {
            work_id: parts[0] if len(parts) == 1 else np.concatenate(parts)
            for work_id, parts in self._scores.items()
            if work_id not in self.refused
        }

    def _score(self) -> None:
        if not self._waiting or self._predictor is None:
            return
        waiting, self._waiting, self._frames_waiting = self._waiting, [], 0
        started = time.perf_counter()
        try:
            scores = self._predictor.scores(np.concatenate([inputs for _, inputs in waiting]))
        except FateError as error:
            self.refused.update((work_id, error) for work_id, _ in waiting)
            return
        except Exception as error:
            raise NetworkBrokenError from error
        finally:
            self.seconds += time.perf_counter() - started
        begin = 0
        for work_id, inputs in waiting:
            self._scores[work_id].append(scores[begin : begin + len(inputs)])
            begin += len(inputs)
