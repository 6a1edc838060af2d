"""The shipped bundle analyses unseen films, with real DICOM files and both runtimes."""

import io
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pydicom
import pytest
from onnx_files import save_mean_network

from imaging.read import read
from models.bundle import Bundle, load_bundle, save_bundle
from models.catalogue import find_bundle
from models.datasets.dataset import Examples
from models.datasets.phantom_series import phantom_examples
from models.evaluation.measure import measure
from models.networks.cnn import build_network
from models.networks.scoring import score
from models.onnx_signature import OnnxSignature
from models.phantoms.dicom import PhantomStyle, phantom_file
from models.runtimes.added_onnx import add_onnx
from models.runtimes.keras_network import load_keras_network
from models.runtimes.load import load_network
from models.runtimes.network import Network
from models.runtimes.onnx_export import ExportFailedError
from nightread.errors import StopWork
from nightread.runtime_names import KERAS
from worker.inference.predictor import Predictor


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return find_bundle("phantom")


@pytest.fixture(scope="module")
def network(bundle: Bundle) -> Network:
    return load_network(bundle)


@pytest.fixture(scope="module")
def unseen() -> Examples:
    return phantom_examples(seed=77_001, count=300)


@pytest.mark.slow  # 6 s; each bundle has the figures of its evaluation, which a quick test reads
def test_unseen_phantoms_are_classified(bundle: Bundle, network: Network, unseen: Examples) -> None:
    """Precision and recall are at least 0.95 on 300 films in all syntaxes, of a seed that no training uses."""
    clear, nodule = measure(bundle.postprocessing, score(network, unseen)).classes
    assert min(clear.support, nodule.support) > 100
    assert min(nodule.precision or 0, nodule.recall or 0) >= 0.95


@pytest.mark.parametrize(("name", "goal"), [("phantom", 0.98), ("mnist-cnn", 0.99)])
def test_shipped_bundles_contain_their_evaluation(name: str, goal: float) -> None:
    """evaluation.json is about these weights and at least 1,000 test images, and its figures reach the goal."""
    shipped = find_bundle(name)
    measured = json.loads((shipped.path / "evaluation.json").read_text())
    assert measured["digest"] == shipped.digest
    assert measured["data"]["part"] == "test"
    assert measured["data"]["images"] >= 1000
    assert min(measured["evaluation"][figure] for figure in ("macro_precision", "macro_recall", "accuracy")) >= goal


def test_the_shipped_bundle_for_series_contains_its_evaluation() -> None:
    """evaluation.json is about these weights, its ROC-AUC is by series, and all files together have less than 2 MB."""
    shipped = find_bundle("ct-nodule")
    measured = json.loads((shipped.path / "evaluation.json").read_text())
    assert measured["digest"] == shipped.digest
    assert (measured["data"]["part"], measured["data"]["split"]) == ("test", "patient")
    assert measured["evaluation"]["macro_roc_auc"] >= 0.9
    assert shipped.series is not None
    assert shipped.spec.reach == (-2, 2)
    assert sum(file.stat().st_size for file in shipped.path.iterdir()) < 2_000_000


@pytest.mark.slow
def test_padded_micro_batches_score_as_unpadded_ones(bundle: Bundle, network: Network, unseen: Examples) -> None:
    """Padding and other images in the batch do not change a score."""
    inputs = unseen.inputs(range(75), bundle.spec)
    predictor = Predictor(bundle, network, largest=16)
    predictor.warm_up()
    np.testing.assert_allclose(predictor.scores(inputs), network.batch_scores(inputs), atol=1e-5)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg2000_phantoms_decode_to_what_was_drawn(bits: int) -> None:
    """The pinned decoder for JPEG 2000 gives the pixels of the uncompressed film."""
    plain, packed = (
        phantom_file(seed=3, index=1, style=PhantomStyle(size=29, bits=bits, syntax=syntax, monochrome1=False))[0]
        for syntax in ("explicit", "jpeg2000")
    )
    decoded = next(read(packed).frames()).stored
    np.testing.assert_array_equal(decoded, pydicom.dcmread(io.BytesIO(plain)).pixel_array)


def test_a_network_of_another_shape_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """The network has three outputs, but the bundle has two labels."""
    model = build_network("detector", bundle.spec.shape, 3, "softmax")
    with pytest.raises(StopWork, match=r"output has the shape \(3,\).*\(2,\)"):
        load_network(save_bundle(bundle, tmp_path, model.save))


def test_a_network_that_returns_logits_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """Scores outside of 0..1 are detected before the first image."""
    inputs = keras.Input(bundle.spec.shape)
    outputs = keras.layers.Dense(2, bias_initializer="ones")(keras.layers.GlobalMaxPooling2D()(inputs)) * 3
    with pytest.raises(StopWork, match="softmax activation"):
        load_network(save_bundle(bundle, tmp_path, keras.Model(inputs, outputs).save))


def test_the_shipped_files_give_the_same_scores(bundle: Bundle, network: Network, unseen: Examples) -> None:
    """The ONNX file is the Keras file, for all films."""
    inputs = unseen.inputs(range(64), bundle.spec)
    by_keras = load_network(bundle, KERAS)
    assert (network.runtime.split()[0], by_keras.runtime.split()[0]) == ("onnxruntime", "keras")
    np.testing.assert_allclose(by_keras.batch_scores(inputs), network.batch_scores(inputs), atol=1e-5)


@pytest.mark.parametrize("broken", ["another network", "an error"])
def test_a_failed_export_leaves_the_keras_file_and_says_why(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """The network is as good as before, so the training does not fail."""

    def export(_model: object, path: Path, shape: tuple[int, int, int]) -> OnnxSignature:
        save_mean_network(path, shape, 2)
        if broken == "an error":
            raise ExportFailedError("the export failed")
        return OnnxSignature(input="images", output="scores", opset=17)

    monkeypatch.setattr("models.runtimes.added_onnx.export_onnx", export)
    saved = save_bundle(replace(bundle, onnx=None), tmp_path, partial(shutil.copyfile, bundle.keras_file))

    after, record = add_onnx(load_keras_network(saved))

    reason = "the export failed" if broken == "an error" else "scores of Keras and ONNX Runtime differ by 0"
    assert (record["exported"], record["reason"].startswith(reason)) == (False, True)
    assert load_bundle(tmp_path) == after == saved
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.json", "model.keras"]


def test_weights_that_keras_cannot_read_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    """A correct digest does not mean that Keras can load the file."""
    saved = save_bundle(bundle, tmp_path, lambda path: path.write_bytes(b"no zip"))
    with pytest.raises(StopWork, match="cannot load"):
        load_network(load_bundle(saved.path))
