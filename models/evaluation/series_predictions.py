"""Compute the predictions of a bundle for a data set: of its images, or of its series if that is the unit."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from models.bundle import Bundle
from models.evaluation.predictions import Predictions, image_predictions, stored_predictions
from models.networks.scoring import Scored
from models.postprocessing import MAX, ImageResult
from models.series.aggregates import Head, stack_result
from models.series.spec import SeriesSpec


def bundle_predictions(bundle: Bundle, scored: Scored, head: Head | None = None) -> Predictions:
    """Return the predictions for images; for a bundle of unit `series` and stacks of slices, as a worker forms series.

    Slices that could not be decoded cost only themselves, and the admission rules of the bundle are not applied. Raises
    StopWork for scores that are not finite, and ValueError if the aggregate `head` has no `head`.
    """
    predictions = image_predictions(bundle.postprocessing, scored)
    if bundle.series is None or scored.gap_behind is None:
        return predictions
    results = list(_stack_results(bundle, bundle.series, scored, head))
    thresholds = {**bundle.postprocessing.thresholds, **bundle.series.thresholds}
    return stored_predictions(
        replace(bundle.postprocessing, thresholds=thresholds, aggregate=MAX),  # the frames are no images any more
        truth=scored.truth,
        scores=np.array([result.scores for result in results]).reshape(-1, len(bundle.labels)),
        given=[result.label for result in results],
        patients=scored.patients,
    )


def _stack_results(bundle: Bundle, spec: SeriesSpec, scored: Scored, head: Head | None) -> Iterator[ImageResult]:
    calibrated = np.array([each.scores for each in bundle.postprocessing.image_results(scored.scores) if each])
    behind = np.zeros(0, bool) if scored.gap_behind is None else scored.gap_behind
    for stack in range(len(scored.truth)):
        begin, end = np.searchsorted(scored.image_of, (stack, stack + 1))
        gaps = np.flatnonzero(behind[begin:end]).tolist()
        scores = calibrated[begin:end].astype(np.float32)
        yield stack_result(spec, bundle.postprocessing, scores, gaps, head).result
