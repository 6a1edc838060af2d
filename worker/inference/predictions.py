"""Turn the scores of one network into one prediction per image."""

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
    """The prediction of one network for one image: the result of the image, and one prediction per frame."""

    result: ImageResult
    frames: tuple[FramePrediction, ...]


Predictions = dict[int, ImagePrediction | ImageError]
"""Predictions by work id; an error if the network has no result for the image."""


def collect_predictions(postprocessing: Postprocessing, batcher: MicroBatcher) -> Predictions:
    """Return a prediction for every image that was added to the batcher. Raises NetworkBrokenError.

    Images of one frame are processed together, because that is faster.
    """
    scores = batcher.finish()
    single = [work_id for work_id, frame_scores in scores.items() if len(frame_scores) == 1]
    predictions: Predictions = dict(batcher.errors)
    if single:
        results = postprocessing.image_results(np.concatenate([scores[work_id] for work_id in single]))
        predictions.update(
            (work_id, _image_prediction(result, [result])) for work_id, result in zip(single, results, strict=True)
        )
    predictions.update(
        (work_id, _multi_frame_prediction(postprocessing, frame_scores))
        for work_id, frame_scores in scores.items()
        if len(frame_scores) > 1
    )
    return predictions


def _multi_frame_prediction(postprocessing: Postprocessing, scores: Scores) -> ImagePrediction | ImageError:
    try:
        return _image_prediction(postprocessing.image_result(scores), postprocessing.image_results(scores))
    except ImageError as error:
        return error


def _image_prediction(result: ImageResult | None, frames: Sequence[ImageResult | None]) -> ImagePrediction | ImageError:
    return (
        ImageError(Reason.BAD_SCORES) if result is None else ImagePrediction(result, tuple(_frame_predictions(frames)))
    )


def _frame_predictions(frames: Iterable[ImageResult | None]) -> Iterable[FramePrediction]:
    for number, frame in enumerate(frames):
        if frame is not None:
            yield FramePrediction(frame=number, label=frame.label, score=frame.score, scores=frame.scores)
