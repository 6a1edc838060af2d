"""Compute the predictions of a bundle for a data set: of its images, or of its series if that is the unit."""

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
    """Return the predictions for images; for a bundle of unit `series` and stacks of slices, as a worker forms series.

    Slices that could not be decoded cost only themselves, and the admission rules of the bundle are not applied. Raises
    StopWork for scores that are not finite, and ValueError if the aggregate `head` has no `head`.
    """
    if bundle.series is None or scored.gap_behind is None:
        return image_predictions(bundle.postprocessing, scored)
    return series_predictions(bundle.postprocessing, bundle.series, scored, head)


def series_predictions(
    postprocessing: Postprocessing, spec: SeriesSpec, scored: Scored, head: Head | None = None
) -> Predictions:
    """Return the predictions for stacks: each image of `scored` is one, and its frames are the slices in order.

    `spec` says how slices become a stack; the aggregate `head` needs a `head`. Raises StopWork for scores that are not
    finite, ValueError without a `head`.
    """
    stacks = zip(slice_scores(postprocessing, scored), _gaps(scored), strict=True)
    results = [stack_result(spec, postprocessing, slices, gaps, head).result for slices, gaps in stacks]
    levels = {**postprocessing.thresholds, **spec.thresholds}
    return stored_predictions(
        replace(postprocessing, thresholds=levels, aggregate=MAX),  # the frames are no images any more
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
    """Yield, for each stack, the indices of the slices behind which another one is missing."""
    behind = np.zeros(len(scored.scores), bool) if scored.gap_behind is None else scored.gap_behind
    for of_stack in np.split(behind, _begins(scored)[1:]):
        yield np.flatnonzero(of_stack).tolist()


def _begins(scored: Scored) -> NDArray[np.int64]:
    """Return the first slice of each stack."""
    return np.searchsorted(scored.image_of, np.arange(len(scored.truth)))
