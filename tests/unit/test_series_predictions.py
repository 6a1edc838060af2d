"""A data set of series is measured with the results that a bundle of unit series gives in use."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.catalogue import find_bundle
from models.evaluation.predictions import image_predictions
from models.evaluation.series_predictions import bundle_predictions, series_predictions, slice_scores
from models.networks.scoring import Scored
from models.postprocessing import Postprocessing
from models.series.spec import HEAD, MAX, RUN, SeriesSpec
from nightread.errors import StopWork

ALONE = Postprocessing(
    labels=("nodule",),
    normal_label="clear",
    activation="sigmoid",
    thresholds={"nodule": 0.5},
    temperature=2,
    aggregate="max",
)
SCORED = Scored(
    truth=np.array([[1], [0], [1]], np.float32),
    scores=np.array([[0.1], [0.9], [0.8], [0.2], [0.7], [0.3]], np.float32),
    image_of=np.array([0, 0, 0, 1, 1, 2]),
    patients=np.array([4, 4, 5]),
)


def test_the_maximum_of_a_series_is_that_of_the_frames_of_an_image() -> None:
    """Both ways calibrate the scores of slices first."""
    series = series_predictions(ALONE, SeriesSpec(aggregate=MAX), SCORED)
    images = image_predictions(ALONE, SCORED)
    for name in ("truth", "scores", "given", "patients", "assigned"):
        assert getattr(series, name).tolist() == getattr(images, name).tolist()


def test_a_head_gets_the_calibrated_slices_of_each_series() -> None:
    """Its scores are compared with the thresholds of the series, and not with those of a slice."""
    seen: list[NDArray[np.float32]] = []

    def head(scores: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(scores)
        return np.array([len(scores) / 10], np.float32)

    spec = SeriesSpec(aggregate=HEAD, thresholds={"nodule": 0.2})
    predictions = series_predictions(ALONE, spec, SCORED, head)
    assert np.concatenate(seen).tolist() == ALONE.calibrated(SCORED.scores).tolist()
    assert [len(scores) for scores in seen] == [3, 2, 1]
    assert predictions.scores[:, 0] == pytest.approx([0.3, 0.2, 0.1])
    assert predictions.assigned[:, 0].tolist() == [True, True, False]
    assert predictions.correct.tolist() == [True, False, False]


def test_a_run_has_a_threshold_of_its_own() -> None:
    """Two slices in a row above 0.5 give the score 1."""
    spec = SeriesSpec(aggregate=RUN, count=2, thresholds={"nodule": 1})
    predictions = series_predictions(ALONE, spec, SCORED)
    assert predictions.scores[:, 0].tolist() == [1, 0.5, 0]
    assert predictions.assigned[:, 0].tolist() == [True, False, False]


def test_the_unit_of_bundle_and_data_decides() -> None:
    """Images of one frame are images, whatever the bundle is made for."""
    run = SeriesSpec(aggregate=RUN, count=2, thresholds={"nodule": 1})
    bundle = replace(find_bundle("ct-nodule"), postprocessing=ALONE, series=run)
    stacks = replace(SCORED, gap_behind=np.zeros(6, bool))
    assert bundle_predictions(bundle, stacks).scores[:, 0].tolist() == [1, 0.5, 0]
    of_images = bundle_predictions(bundle, SCORED)
    assert of_images.scores.tolist() == image_predictions(ALONE, SCORED).scores.tolist()


def test_scores_that_are_not_finite_stop_the_evaluation() -> None:
    """As for images."""
    broken = replace(SCORED, scores=np.full_like(SCORED.scores, np.nan))
    with pytest.raises(StopWork, match="NaN"):
        next(slice_scores(ALONE, broken))
