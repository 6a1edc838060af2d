"""The bundle that ships, on films it never saw, through real DICOM bytes and a real Keras."""

import io
import json
from pathlib import Path

import keras
import numpy as np
import pydicom
import pytest

from imaging.read import read
from models.bundle import TRAINING_FILE, Bundle, load_bundle, save_bundle
from models.catalogue import SHIPPED, find_bundle
from models.cnn import small_cnn
from models.datasets.phantoms import Examples, phantoms
from models.evaluation.found import evaluate
from models.network import Network, load_network
from models.phantom import NODULE
from models.phantom_dicom import PhantomStyle, phantom_file
from models.train import Recipe, given_labels, train_phantom
from nightread.errors import StopWork
from worker.predict import Predictor


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return find_bundle("phantom")


@pytest.fixture(scope="module")
def network(bundle: Bundle) -> Network:
    return load_network(bundle)


@pytest.fixture(scope="module")
def unseen(bundle: Bundle) -> Examples:
    return phantoms(bundle.spec, seed=77_001, indices=range(300))


def test_unseen_phantoms_are_told_apart(network: Network, unseen: Examples) -> None:
    """Precision and recall reach 0.95 on 300 films of a seed that no training run uses, all syntaxes mixed."""
    result = evaluate(zip(unseen.labels, given_labels(network, unseen), strict=True), finding=NODULE)
    assert min(result.confusion["nodule"].get("nodule", 0), result.confusion["clear"].get("clear", 0)) > 100
    assert result.precision >= 0.95
    assert result.recall >= 0.95


def test_the_training_record_matches_what_ships() -> None:
    """training.json tells of at least 1,000 unseen films and of the goal."""
    evaluation = json.loads((SHIPPED / "phantom" / TRAINING_FILE).read_text())["evaluation"]
    assert evaluation["images"] >= 1000
    assert min(evaluation["precision"], evaluation["recall"]) >= 0.95


def test_what_ships_stays_small() -> None:
    """A clone carries less than 2 MB of networks."""
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 2_000_000


def test_padded_micro_batches_score_as_unpadded_ones(bundle: Bundle, network: Network, unseen: Examples) -> None:
    """Neither padding nor neighbours in the batch change a score."""
    inputs = unseen.inputs[:75]
    predictor = Predictor(bundle, network, largest=16)
    predictor.warm_up()
    np.testing.assert_allclose(predictor.scores(inputs), network.batch_scores(inputs), atol=1e-5)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg2000_phantoms_decode_to_what_was_drawn(bits: int) -> None:
    """The decoder that is pinned for JPEG 2000 gives the pixels of the uncompressed film."""
    plain, packed = (
        phantom_file(seed=3, index=1, style=PhantomStyle(size=29, bits=bits, syntax=syntax, monochrome1=False))[0]
        for syntax in ("explicit", "jpeg2000")
    )
    decoded = next(read(packed).frames()).stored
    np.testing.assert_array_equal(decoded, pydicom.dcmread(io.BytesIO(plain)).pixel_array)


def test_a_network_of_another_shape_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """A bundle that promises three labels and a network with two do not fit."""
    model = small_cnn(bundle.spec, 3)
    with pytest.raises(StopWork, match=r"output has the shape \(3,\).*\(2,\)"):
        load_network(save_bundle(bundle, tmp_path, model.save))


def test_a_network_that_answers_with_logits_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """Scores outside of 0..1 are found before the first image."""
    inputs = keras.Input(bundle.spec.shape)
    outputs = keras.layers.Dense(2, bias_initializer="ones")(keras.layers.GlobalMaxPooling2D()(inputs)) * 3
    with pytest.raises(StopWork, match="softmax activation"):
        load_network(save_bundle(bundle, tmp_path, keras.Model(inputs, outputs).save))


def test_weights_that_keras_cannot_read_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    """The digest may be right and the file still no model."""
    saved = save_bundle(bundle, tmp_path, lambda path: path.write_bytes(b"no zip"))
    with pytest.raises(StopWork, match="cannot load"):
        load_network(load_bundle(saved.path))


def test_training_writes_a_bundle_that_loads(tmp_path: Path) -> None:
    """A short run goes the whole way: phantoms, training, saving, evaluation of the saved files, record."""
    recipe = Recipe(training_images=64, unseen_images=32, epochs=1)
    trained, result = train_phantom(tmp_path / "phantom", recipe)
    assert load_bundle(tmp_path / "phantom") == trained
    assert result.images == 32
    assert json.loads((tmp_path / "phantom" / TRAINING_FILE).read_text())["recipe"]["training_images"] == 64
