"""Make the drift reference of a bundle from labelled or golden images, and store it in the folder of the bundle."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.facts import NO_FACTS, Facts
from imaging.spec import InputSpec
from models.datasets.dataset import Examples
from models.drift_values import levels_of
from models.evaluation.predictions import Predictions
from models.postprocessing import Postprocessing
from nightread.drift.levels import Levels, pack
from nightread.drift.measures import DriftMeasures, HeaderValues, ResultValues
from nightread.drift.reference import DriftReference, Stratum
from nightread.errors import StopWork

DRIFT_FILE = "drift.json"
"""The file of the drift reference in the folder of a bundle; the digest does not cover it."""
_MOST_IMAGES = 5000
_CHUNK = 64
_SEED = 17


def reference_of_examples(examples: Examples, predictions: Predictions, spec: InputSpec) -> DriftReference:
    """Return the drift reference of a part of a data set; a part of more than 5,000 images is sampled.

    If the images have headers, they are read again for device, view, size and spacing.
    """
    chosen = _chosen(examples)
    names = (*predictions.labels, predictions.postprocessing.normal_label)
    facts = [NO_FACTS if examples.facts is None else examples.facts(int(image)) for image in chosen]
    return make_reference(
        predictions.postprocessing,
        labels=[names[position] for position in predictions.given[chosen]],
        scores=predictions.scores[chosen],
        levels=_levels(examples, chosen, spec),
        facts=facts,
        patients=None if examples.patients is None else examples.patients[chosen].tolist(),
    )


def make_reference(
    postprocessing: Postprocessing,
    *,
    labels: Sequence[str | None],
    scores: NDArray[np.float64],
    levels: Levels,
    facts: Sequence[Facts],
    patients: Sequence[int] | None = None,
) -> DriftReference:
    """Return the drift reference of images from their labels, scores, levels and headers.

    The shape of `scores` is (images, labels), that of `levels` is (images, percentiles).

    Images of one study resemble each other, so they are grouped. Images without a study are grouped by patient.
    """
    measures = DriftMeasures(labels=postprocessing.labels, normal_label=postprocessing.normal_label)
    results = ResultValues(labels=labels, scores=scores, intensities=pack(levels))
    headers = HeaderValues(
        sizes=[(each.rows, each.columns) for each in facts],
        photometric=[each.photometric for each in facts],
        spacings=[each.pixel_spacing for each in facts],
    )
    strata = [Stratum(each.modality or "", each.device_model or "", each.view_position or "") for each in facts]
    people: Sequence[int | None] = patients or [None] * len(facts)
    studies = [each.study_instance_uid or patient for each, patient in zip(facts, people, strict=True)]
    return DriftReference.of_images(measures, strata, studies, measures.codes(results, headers))


def write_reference(folder: Path, reference: DriftReference) -> None:
    """Write the drift reference into the folder of a bundle. The file names no image, study or patient."""
    (folder / DRIFT_FILE).write_text(json.dumps(reference.to_json()) + "\n", encoding="utf-8")


def read_reference(folder: Path, labels: tuple[str, ...]) -> Mapping[str, Any] | None:
    """Return the content of DRIFT_FILE in the folder of a bundle; None if the file is missing.

    Raises StopWork if it cannot be read or was made for labels other than `labels`.
    """
    try:
        content: dict[str, Any] = json.loads((folder / DRIFT_FILE).read_text("utf-8"))
        reference = DriftReference.from_json(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StopWork(
            f"{folder / DRIFT_FILE} cannot be read ({type(error).__name__}): remove it, or write it again with "
            "`nightread models drift-reference`."
        ) from error
    if reference.measures.labels != labels:
        raise StopWork(f"{folder / DRIFT_FILE} is of a model with other labels: remove it.")
    return content


def _chosen(examples: Examples) -> NDArray[np.int64]:
    if examples.images <= _MOST_IMAGES:
        return np.arange(examples.images)
    return np.sort(np.random.default_rng(_SEED).choice(examples.images, _MOST_IMAGES, replace=False))


def _levels(examples: Examples, chosen: NDArray[np.int64], spec: InputSpec) -> Levels:
    """Return the levels of each image: the mean over its frames. The frames of an image must be consecutive."""
    frames = np.flatnonzero(np.isin(examples.image_of, chosen))
    levels = np.concatenate(list(_levels_of_frames(examples, frames, spec)))
    begins = np.flatnonzero(np.diff(examples.image_of[frames], prepend=-1))
    counts = np.diff(begins, append=len(frames))
    means = np.add.reduceat(levels, begins, axis=0, dtype=np.float64) / counts[:, None]
    return np.rint(means).astype(np.uint8)


def _levels_of_frames(examples: Examples, frames: NDArray[np.int64], spec: InputSpec) -> Iterator[Levels]:
    for begin in range(0, len(frames), _CHUNK):
        yield levels_of(examples.inputs(frames[begin : begin + _CHUNK], spec), spec)
