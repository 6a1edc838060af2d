"""ONNX Runtime runs the ONNX file of a bundle: what it takes, what it returns, what it refuses."""

from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_files import OPSET, save_mean_network
from test_models_bundle import make_bundle

from imaging.spec import InputSpec, Intensity
from models.bundle import Bundle, load_bundle, save_bundle
from models.onnx_signature import NCHW, NHWC, OnnxSignature
from models.runtimes import added_onnx, onnx_network
from models.runtimes.load import load_network
from models.runtimes.network import check_scores
from models.runtimes.onnx_network import load_onnx_network
from nightread.errors import StopWork

HEIGHT, WIDTH, CHANNELS = SHAPE = (6, 4, 3)
SPEC = InputSpec(
    height=HEIGHT, width=WIDTH, channels=CHANNELS, intensity=Intensity(kind="window", low=0, high=255), mean=(0.0,) * 3
)
INPUTS = np.random.default_rng(3).random((5, *SHAPE), np.float32)


def save(folder: Path, *, layout: str = NHWC, logits: bool = False, spec: InputSpec = SPEC, **changes: Any) -> Bundle:
    names = {"input": "images", "output": "scores"} | changes.pop("names", {})
    bundle = make_bundle(spec=spec, onnx=OnnxSignature(**names, layout=layout, opset=OPSET, logits=logits))
    shape = changes.pop("shape", spec.shape)
    labels = changes.pop("labels", len(bundle.labels))
    write = partial(save_mean_network, shape=shape, labels=labels, layout=layout, **changes)
    return load_bundle(save_bundle(bundle, folder / "toy", save_onnx=write).path)


def expected() -> Any:
    """Return what the network computes: the softmax of the mean of each channel by the weights."""
    weights = np.eye(CHANNELS, 2) + np.array([0, 2])
    powers = np.exp(INPUTS.astype(np.float64).mean(axis=(1, 2)) @ weights)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("layout", [NHWC, NCHW])
def test_the_scores_are_those_of_the_graph_in_both_layouts(tmp_path: Path, layout: str) -> None:
    """Prepared frames have their channels last; a network of the other order gets them first."""
    network = load_network(save(tmp_path, layout=layout))
    assert network.runtime.startswith("onnxruntime ")
    scores = network.batch_scores(INPUTS)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected(), atol=1e-6)


@pytest.mark.parametrize("count", [1, 4])
def test_one_channel_is_the_same_in_both_layouts(tmp_path: Path, count: int) -> None:
    """Without a copy, because the bytes are the same."""
    spec = InputSpec(height=6, width=4, channels=1, intensity=Intensity(kind="window", low=0, high=255), mean=(0.0,))
    inputs = INPUTS[:count, ..., :1]
    last, first = (
        load_network(save(tmp_path / layout, layout=layout, spec=spec)).batch_scores(inputs) for layout in (NHWC, NCHW)
    )
    np.testing.assert_allclose(last, first, atol=1e-6)


def test_the_activation_of_the_bundle_is_applied_to_logits(tmp_path: Path) -> None:
    """PyTorch networks usually return logits."""
    network = load_network(save(tmp_path, logits=True, activation=None))
    np.testing.assert_allclose(network.batch_scores(INPUTS), expected(), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": 3}, r"output has the shape \(3,\).*\(2,\)"),
        ({"shape": (HEIGHT, WIDTH + 1, CHANNELS)}, r"input has the shape .*\(6, 4, 3\)"),
        ({"names": {"input": "pictures"}}, "must have the float32 input 'pictures'"),
        ({"names": {"output": "labels"}}, "must have the float32 output 'labels'"),
        ({"batch": 2}, "exactly 2 image.*free batch size"),
        ({"activation": "Acos"}, r"outside of 0\.\.1.*softmax activation.*last layer"),
        ({"activation": "Log"}, "returns NaN or infinity .*train it again"),
        ({"activation": "Own", "domain": "com.example"}, "cannot open .*without custom operators"),
    ],
)
def test_a_network_that_does_not_fit_its_bundle_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    """Each message says what is wrong and what to do."""
    bundle = save(tmp_path, **changes)
    with pytest.raises(StopWork, match=words):
        load_onnx_network(bundle)


def test_a_forest_whose_shares_add_up_to_a_little_more_than_one_is_served() -> None:
    """Ten trees that agree give 1.0000001 in float32; logits of zeros are still refused."""
    bundle, scores = make_bundle(), np.float32([[1.0000001, 0]])
    network: Any = SimpleNamespace(bundle=bundle, batch_scores=lambda _: scores)
    check_scores(network)
    scores[0, 0] = 1.001
    with pytest.raises(StopWork, match=r"outside of 0\.\.1"):
        check_scores(network)


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_have_a_message_of_their_own(score: float) -> None:
    """An activation would not help: the weights are damaged, or the training diverged."""
    scores = np.float32([[0.5, score]])
    network: Any = SimpleNamespace(bundle=make_bundle(), batch_scores=lambda _: scores)
    with pytest.raises(StopWork, match=r"returns NaN or infinity .*train it again") as stopped:
        check_scores(network)
    assert "activation" not in str(stopped.value)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    """A correct digest does not mean that ONNX Runtime can open the file."""
    bundle = make_bundle(onnx=OnnxSignature(input="images", output="scores", opset=OPSET))
    saved = save_bundle(bundle, tmp_path, save_onnx=lambda path: path.write_bytes(b"no graph"))
    with pytest.raises(StopWork, match="cannot open"):
        load_onnx_network(saved)


def test_a_training_record_needs_no_package_of_a_certain_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`onnxruntime-gpu` is ONNX Runtime too, and not every exporter needs tf2onnx."""

    def version(name: str) -> str:
        if name in ("onnxruntime", "tf2onnx"):
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(added_onnx, "version", version)
    found = added_onnx.versions()
    assert found.pop("onnxruntime")
    assert found == {"keras": "1.0", "onnx": "1.0"}


def test_a_network_that_cannot_use_the_gpu_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ONNX Runtime falls back to the CPU without a word if a library of CUDA is missing."""
    monkeypatch.setattr(onnx_network, "_GPU", "NoExecutionProvider")
    bundle = save(tmp_path)
    load_onnx_network(bundle)
    assert caplog.messages == []
    load_onnx_network(bundle, on_gpu=True)
    assert [f"model {bundle.reference} runs on the CPU" in message for message in caplog.messages] == [True]


def test_weights_in_another_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest does not cover that file, so another one in its place would change every score without a word."""
    bundle = save(tmp_path)
    model = onnx.load(bundle.onnx_file)
    onnx.save(model, bundle.onnx_file, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (bundle.path / "weights.bin").is_file()
    saved = load_bundle(save_bundle(bundle, bundle.path).path)
    monkeypatch.chdir(bundle.path)
    with pytest.raises(StopWork, match="all weights in the same file"):
        load_onnx_network(saved)


def test_a_file_that_is_exchanged_between_check_and_use_is_refused(tmp_path: Path) -> None:
    """What runs is what the digest covers."""
    bundle = save(tmp_path)
    save_mean_network(bundle.onnx_file, SHAPE, 2, activation="Sigmoid")
    with pytest.raises(StopWork, match=r"model\.onnx was changed after the bundle was read"):
        load_onnx_network(bundle)
    bundle.onnx_file.unlink()
    with pytest.raises(StopWork, match=r"cannot be read \(FileNotFoundError\)\. Copy the whole folder again"):
        load_onnx_network(bundle)
