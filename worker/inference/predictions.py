"""From the scores of one network to what it says of each image."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from db.ledger import FramePrediction
from models.postprocessing import ImageResult, Postprocessing
from nightread.errors import ImageError
from nightread.reasons import Reason
from worker.inference.micro_batcher import MicroBatcher
from worker.inference.predictor import Scores


class ImagePrediction(NamedTuple):
    """What one network says of one image."""

    result: ImageResult
    frames: tuple[FramePrediction, ...]


Predictions = dict[int, ImagePrediction | ImageError]
"""By row of work; an error where the network has no answer."""


def predictions_of(postprocessing: Postprocessing, batcher: MicroBatcher) -> Predictions:
    """What the network whose scores these are says of every image it was given. Raises NetworkBrokenError."""
    scores = batcher.finish()
    single = [work_id for work_id, of_frames in scores.items() if len(of_frames) == 1]
    predictions: Predictions = dict(batcher.refused)
    if single:
        results = postprocessing.image_results(np.concatenate([scores[work_id] for work_id in single]))
        predictions.update(
            (work_id, _image_prediction(result, [result])) for work_id, result in zip(single, results, strict=True)
        )
    predictions.update(
        (work_id, _of_many_frames(postprocessing, of_frames))
        for work_id, of_frames in scores.items()
        if len(of_frames) > 1
    )
    return predictions


def _of_many_frames(postprocessing: Postprocessing, scores: Scores) -> ImagePrediction | ImageError:
    try:
        return _image_prediction(postprocessing.image_result(scores), postprocessing.image_results(scores))
    except ImageError as error:
        return error


def _image_prediction(result: ImageResult | None, frames: Sequence[ImageResult | None]) -> ImagePrediction | ImageError:
    return ImageError(Reason.BAD_SCORES) if result is None else ImagePrediction(result, tuple(_predictions(frames)))


def _predictions(frames: Iterable[ImageResult | None]) -> Iterable[FramePrediction]:
    for number, frame in enumerate(frames):
        if frame is not None:
            yield FramePrediction(frame=number, label=frame.label, score=frame.score, scores=frame.scores)
