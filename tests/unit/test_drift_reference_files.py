"""The reference that a bundle brings along: made from a data set, written, read, and refused if it is broken."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.datasets.phantom_series import LABELS, SPEC, phantom_examples
from models.datasets.subset import without_frames
from models.drift_reference import DRIFT_FILE, read_reference, reference_of_examples, write_reference
from models.evaluation.predictions import Predictions, stored_predictions
from models.postprocessing import Postprocessing
from nightread.drift.reference import Stratum
from nightread.errors import StopWork

POSTPROCESSING = Postprocessing(
    labels=LABELS,
    normal_label=LABELS[0],
    activation="softmax",
    thresholds={LABELS[1]: 0.5},
    temperature=1.0,
    aggregate="max",
)
EXAMPLES = phantom_examples(seed=5, count=6)


def predictions(images: int) -> Predictions:
    scores = np.linspace(0.1, 0.9, images)
    return stored_predictions(
        POSTPROCESSING,
        truth=np.zeros((images, 2)),
        scores=np.stack([1 - scores, scores], axis=1),
        given=[LABELS[int(score > 0.5)] for score in scores],
    )


def test_a_data_set_with_headers_names_devices() -> None:
    """Each image with its label, its levels and its study."""
    found = reference_of_examples(EXAMPLES, predictions(6), SPEC)
    assert found.strata == (Stratum("DX", "phantom", "PA"),)
    assert found.fields == ("modality", "device_model", "view")
    assert found.counts()["label"].tolist() == [3, 3, 0]
    assert found.counts()["intensity 50 %"][-1] == 0
    assert len(set(found.block.tolist())) == 6


def test_a_data_set_without_headers_has_one_stratum_and_blocks_by_patient() -> None:
    """Two films in a row are of one patient."""
    found = reference_of_examples(replace(EXAMPLES, facts=None), predictions(6), SPEC)
    assert found.strata == (Stratum(),)
    assert found.fields == ()
    assert len(set(found.block.tolist())) == 3


def test_left_out_images_keep_the_headers_of_the_others() -> None:
    """Also where frames could not be decoded."""
    left_out = np.array([True, False, False, False, False, False])
    kept = without_frames(EXAMPLES, left_out)
    assert kept.facts is not None
    assert EXAMPLES.facts is not None
    assert kept.facts(0).sop_instance_uid == EXAMPLES.facts(1).sop_instance_uid
    assert reference_of_examples(kept, predictions(5), SPEC).images == 5


def test_the_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """It names no study; a bundle without one has none."""
    assert read_reference(tmp_path, LABELS) is None
    found = reference_of_examples(EXAMPLES, predictions(6), SPEC)
    write_reference(tmp_path, found)
    assert read_reference(tmp_path, LABELS) == found.to_json()
    assert "2.25." not in (tmp_path / DRIFT_FILE).read_text("utf-8")


def test_a_broken_or_foreign_file_is_refused(tmp_path: Path) -> None:
    """With what to do about it."""
    (tmp_path / DRIFT_FILE).write_text("{}", "utf-8")
    with pytest.raises(StopWork, match="drift-reference"):
        read_reference(tmp_path, LABELS)
    write_reference(tmp_path, reference_of_examples(EXAMPLES, predictions(6), SPEC))
    with pytest.raises(StopWork, match="other labels"):
        read_reference(tmp_path, ("a", "b"))


@pytest.mark.parametrize("name", ["phantom", "mnist-cnn", "ct-nodule"])
def test_shipped_bundles_have_a_reference(name: str) -> None:
    """Made by `nightread models drift-reference` from their validation parts."""
    labels = {"phantom": LABELS, "mnist-cnn": tuple("0123456789"), "ct-nodule": (LABELS[1],)}[name]
    assert read_reference(Path(__file__).parents[2] / "models" / "bundles" / name, labels) is not None
