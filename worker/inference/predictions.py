"""Turn the scores of one network into one prediction per image."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from db.ledger import FramePrediction
from models.input_range import FAR, FOREIGN_INTENSITIES, NEAR, middle_distance
from models.postprocessing import ImageResult, Postprocessing
from nightread.errors import ImageError, RejectImage
from nightread.reasons import Reason
from worker.inference.micro_batcher import MicroBatcher
from worker.inference.predictor import Scores


class ImagePrediction(NamedTuple):
    """The prediction of one network for one image: the result of the image, and one prediction per frame."""

    result: ImageResult
    frames: tuple[FramePrediction, ...]
    near_edge: bool = False
    """Whether the intensities of most frames are slightly outside of the range of the training images."""
    intensities: int | None = None
    """The intensities of the prepared input (nightread.drift.levels), as the mean over the frames."""


Predictions = dict[int, ImagePrediction | ImageError]
"""The prediction of each image, or the error that prevented it, by work id."""


def collect_predictions(postprocessing: Postprocessing, batcher: MicroBatcher) -> Predictions:
    """Return a prediction for every image that was added to the batcher. Raises NetworkBrokenError.

    Images of one frame are processed together, because that is faster. If most frames of an image have intensities far
    from those of the training images, the image gets an error instead.
    """
    scores = batcher.finish()
    levels = batcher.levels.by_image()
    single = [work_id for work_id, frame_scores in scores.items() if len(frame_scores) == 1]
    predictions: Predictions = dict(batcher.errors)
    if single:
        results = postprocessing.image_results(np.concatenate([scores[work_id] for work_id in single]))
        predictions.update(
            (work_id, _image_prediction(result, [result], levels[work_id]))
            for work_id, result in zip(single, results, strict=True)
        )
    predictions.update(
        (work_id, _multi_frame_prediction(postprocessing, frame_scores, levels[work_id]))
        for work_id, frame_scores in scores.items()
        if len(frame_scores) > 1
    )
    for work_id, distances in batcher.unusual.items():
        if work_id in scores:
            predictions[work_id] = _compared(predictions[work_id], distances, len(scores[work_id]))
    return predictions


def _compared(
    prediction: ImagePrediction | ImageError, distances: list[float], frames: int
) -> ImagePrediction | ImageError:
    """Return the prediction, or an error if the intensities of the image are far from those of the training images.

    `frames` is the number of all frames, `distances` has only the frames outside of the range.
    """
    middle = middle_distance(distances, frames)
    if middle > FAR:
        return RejectImage(Reason.OUT_OF_DOMAIN, FOREIGN_INTENSITIES)
    if middle > NEAR and isinstance(prediction, ImagePrediction):
        return prediction._replace(near_edge=True)
    return prediction


def _multi_frame_prediction(
    postprocessing: Postprocessing, scores: Scores, intensities: int
) -> ImagePrediction | ImageError:
    try:
        results = postprocessing.image_results(scores)
        return _image_prediction(postprocessing.image_result(scores), results, intensities)
    except ImageError as error:
        return error


def _image_prediction(
    result: ImageResult | None, frames: Sequence[ImageResult | None], intensities: int
) -> ImagePrediction | ImageError:
    if result is None:
        return ImageError(Reason.BAD_SCORES)
    return ImagePrediction(result, tuple(_frame_predictions(frames)), intensities=intensities)


def _frame_predictions(frames: Iterable[ImageResult | None]) -> Iterable[FramePrediction]:
    for number, frame in enumerate(frames):
        if frame is not None:
            yield FramePrediction(frame=number, label=frame.label, score=frame.score, scores=frame.scores)
