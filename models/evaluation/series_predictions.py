"""Compute the predictions for stacks of slices, as a bundle with the unit series makes them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.evaluation.predictions import Predictions, image_predictions, stored_predictions
from models.networks.scoring import Scored
from models.postprocessing import MAX, Postprocessing
from models.series.aggregates import Head, stack_result
from models.series.spec import SeriesSpec
from nightread.errors import StopWork


def unit_predictions(bundle: Bundle, scored: Scored, *, of_series: bool) -> Predictions:
    """Return the predictions for a data set: of series if that is the unit of the bundle, else of images.

    `of_series` says whether the images of the data set are stacks of slices. Raises StopWork for scores that are not
    finite, and if the sequence head of the bundle cannot be used.
    """
    if bundle.series is None or not of_series:
        return image_predictions(bundle.postprocessing, scored)
    return series_predictions(bundle.postprocessing, bundle.series, scored, _head_of(bundle))


def series_predictions(
    postprocessing: Postprocessing, spec: SeriesSpec, scored: Scored, head: Head | None = None
) -> Predictions:
    """Return the predictions for stacks: each image of `scored` is one, and its frames are the slices in order.

    `spec` says how slices become a stack; the aggregate `head` needs a `head`. It is not known where slices are
    missing, so a gap does not end a run. Raises StopWork for scores that are not finite, ValueError without a `head`.
    """
    stacks = slice_scores(postprocessing, scored)
    results = [stack_result(spec, postprocessing, slices, head=head).result for slices in stacks]
    levels = {**postprocessing.thresholds, **spec.thresholds}
    return stored_predictions(
        replace(postprocessing, thresholds=levels, aggregate=MAX),
        truth=scored.truth,
        scores=np.array([result.scores for result in results]).reshape(-1, len(postprocessing.labels)),
        given=[result.label for result in results],
        patients=scored.patients,
    )


def slice_scores(postprocessing: Postprocessing, scored: Scored) -> Iterator[NDArray[np.float32]]:
    """Yield the calibrated scores of the slices of each stack, (slices, labels), as a worker stores them.

    Raises StopWork for scores that are not finite.
    """
    if not np.isfinite(scored.scores).all():
        raise StopWork("The network returned NaN or infinity. Train it again.")
    calibrated = postprocessing.calibrated(scored.scores)
    yield from np.split(calibrated, np.flatnonzero(np.diff(scored.image_of)) + 1)


def _head_of(bundle: Bundle) -> Head | None:
    from models.runtimes.sequence_head import load_head  # noqa: PLC0415 - only a bundle with a head needs a runtime

    return load_head(bundle) if bundle.has_head else None
