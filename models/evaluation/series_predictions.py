"""Compute the predictions of a bundle for a data set: for images, or for series if the unit of the bundle is series."""

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


def bundle_predictions(bundle: Bundle, scored: Scored, head: Head | None = None) -> Predictions:
    """Return the predictions for images, or for stacks of slices if the unit of the bundle is series.

    The result of a stack is computed as in a worker, with one exception: `bad_slice` of the bundle is not used, and of
    the slices only those that cannot be decoded are left out. `models.evaluation.admission` leaves out the stacks that
    the bundle refuses. Raises StopWork for scores that are not finite, and ValueError if the aggregate is `head` but
    `head` is None.
    """
    if bundle.series is None or scored.gap_behind is None:
        return image_predictions(bundle.postprocessing, scored)
    return series_predictions(bundle.postprocessing, bundle.series, scored, head)


def series_predictions(
    postprocessing: Postprocessing, spec: SeriesSpec, scored: Scored, head: Head | None = None
) -> Predictions:
    """Return the predictions for stacks: each image of `scored` is a stack, its frames are the slices in order.

    `spec` says how the scores of slices become the result of a stack. Raises StopWork for scores that are not finite,
    and ValueError if the aggregate is `head` but `head` is None.
    """
    stacks = zip(slice_scores(postprocessing, scored), _gaps(scored), strict=True)
    results = [stack_result(spec, postprocessing, slices, gaps, head).result for slices, gaps in stacks]
    levels = {**postprocessing.thresholds, **spec.thresholds}
    return stored_predictions(
        replace(postprocessing, thresholds=levels, aggregate=MAX),  # a stack is not a vote of its frames
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
    yield from np.split(postprocessing.calibrated(scored.scores), _begins(scored)[1:])


def _gaps(scored: Scored) -> Iterator[list[int]]:
    """Yield, for each stack, the indices of the slices after which a slice is missing."""
    behind = np.zeros(len(scored.scores), bool) if scored.gap_behind is None else scored.gap_behind
    for of_stack in np.split(behind, _begins(scored)[1:]):
        yield np.flatnonzero(of_stack).tolist()


def _begins(scored: Scored) -> NDArray[np.int64]:
    """Return the first slice of each stack."""
    return np.searchsorted(scored.image_of, np.arange(len(scored.truth)))
