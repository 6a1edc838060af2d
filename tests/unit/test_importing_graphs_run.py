"""ONNX files of other authors are rewritten to images in and scores out, and keep their authors' scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_graphs import author_scores, model_of, save, torch_net, value, weights
from onnx import TensorProto, helper

from models.importing.errors import RefusedModel
from models.importing.graph_options import FREE, ONE_BY_ONE, GraphOptions
from models.importing.graphs import convert
from models.importing.graphs.convert import check_converted, convert_graph
from models.importing.job import CONVERTED_ONNX_FILE, INPUTS_FILE
from models.runtimes.onnx_library import onnx_runtime

SIZE = (16, 16, 1)
IMAGES = np.random.default_rng(5).random((5, 16, 16, 3), np.float32)


@pytest.fixture(autouse=True)
def _no_memory_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are for the sandbox; here they would hold for all tests of this process."""
    for name in ("limit_memory", "limit_memory_for_loading", "limit_memory_for_parsing"):
        monkeypatch.setattr(convert, name, lambda _bytes: None)


def converted(tmp_path: Path, model: Any, images: Any, *, labels: int = 2, **options: Any) -> dict[str, Any]:
    """Convert the model and score images with it; the converted file passes the second inspection."""
    np.save(tmp_path / INPUTS_FILE, images)
    given = GraphOptions(**({"activation": "softmax"} | options))
    size = images.shape[1:]
    facts = convert_graph(tmp_path, save(model, tmp_path / "net.onnx"), size, labels, given)
    if "scores" in facts:
        assert check_converted(tmp_path / CONVERTED_ONNX_FILE, size, labels) == {"checked": True}
    return facts


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_of_pytorch_returns_the_scores_of_its_author(tmp_path: Path, channels: int) -> None:
    """Its channels come first and it returns logits; both are changed in the graph."""
    images = IMAGES[..., :channels]
    facts = converted(tmp_path, torch_net(channels=channels), images, logits=True)
    expected = author_scores(tmp_path / "net.onnx", images.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(facts["scores"], expected, atol=1e-6, rtol=0)
    assert np.ptp(expected, axis=0).max() > 1e-3
    graph = facts["graph"]
    assert (graph["layout"], graph["batch"], graph["opset"], graph["producer"]) == ("NCHW", FREE, 17, "pytorch 2.9.0")
    assert graph["added"] == ["Transpose" if channels == 3 else "Reshape", "Softmax"]
    assert facts["activation"] == "softmax"


def test_independent_labels_get_a_sigmoid(tmp_path: Path) -> None:
    """Each score is that of one logit."""
    images = IMAGES[..., :1]
    logits = np.array(converted(tmp_path, torch_net(labels=3), images, labels=3)["scores"])
    scores = converted(tmp_path, torch_net(labels=3), images, labels=3, logits=True, activation="sigmoid")["scores"]
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_a_softmax_of_other_operators_gets_no_second_one(tmp_path: Path) -> None:
    """Its scores add up to 1 for each image; a second softmax would move all of them towards the middle."""
    model = torch_net(end="Softmax")
    model.graph.node[-1].output[0] = "before"
    model.graph.initializer.append(weights("one", np.ones(1, np.float32)))
    model.graph.node.append(helper.make_node("Mul", ["before", "one"], ["output"]))
    with pytest.raises(RefusedModel, match=r"add up to 1, so they are scores and not logits\. Leave --logits out"):
        converted(tmp_path, model, IMAGES[..., :1], logits=True)


def test_scores_stay_as_they_are(tmp_path: Path) -> None:
    """The activation at the end is found behind operators that change nothing."""
    model = torch_net(end="Softmax")
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("Identity", ["before"], ["output"]))
    facts = converted(tmp_path, model, IMAGES[..., :1])
    expected = author_scores(tmp_path / "net.onnx", IMAGES[..., :1].transpose(0, 3, 1, 2))
    np.testing.assert_allclose(facts["scores"], expected, atol=1e-6, rtol=0)
    assert (facts["activation"], facts["graph"]["added"]) == ("softmax", ["Reshape"])


def test_a_batch_size_of_one_is_made_free_where_the_graph_allows_it(tmp_path: Path) -> None:
    """Most exported networks name the size and do not depend on it."""
    facts = converted(tmp_path, torch_net(batch=1), IMAGES[..., :1], logits=True)
    assert facts["graph"]["batch"] == FREE
    assert "Scan" not in facts["graph"]["added"]


@pytest.mark.parametrize("shape", [[1, -1], [1, 6]])
def test_a_graph_for_one_image_is_run_for_one_image_after_the_other(tmp_path: Path, shape: list[int]) -> None:
    """A shape is written into the graph: with a batch it would fail, or give the wrong scores."""
    model = torch_net(batch=1)
    model.graph.node[5].CopyFrom(helper.make_node("Reshape", ["/pool", "row"], ["/flat"]))
    model.graph.initializer.append(weights("row", shape, np.int64))
    images = IMAGES[..., :1]
    facts = converted(tmp_path, model, images, logits=True)
    expected = author_scores(tmp_path / "net.onnx", images.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(facts["scores"], expected, atol=1e-6, rtol=0)
    assert facts["graph"]["batch"] == ONE_BY_ONE
    assert facts["graph"]["added"][-1] == "Scan"


@pytest.mark.parametrize(
    ("kind", "dtype", "tolerance"),
    [
        (TensorProto.FLOAT16, np.float16, 1e-3),
        (TensorProto.DOUBLE, np.float64, 1e-6),
        (TensorProto.UINT8, np.uint8, 1e-6),
    ],
)
def test_other_types_are_cast(tmp_path: Path, kind: int, dtype: Any, tolerance: float) -> None:
    """Whole numbers are clipped and rounded first: cubic interpolation makes some that are no uint8."""
    images = IMAGES[..., :1] * np.float32(340) - np.float32(40) if dtype is np.uint8 else IMAGES[..., :1]
    facts = converted(tmp_path, torch_net(kind=kind), images, logits=True)
    given = (np.rint(images.clip(0, 255)) if dtype is np.uint8 else images).astype(dtype).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(facts["scores"], author_scores(tmp_path / "net.onnx", given), atol=tolerance, rtol=0)
    assert "Cast" in facts["graph"]["added"]


def classifier_of_pixels(sides: int, labels: int) -> Any:
    """Return a linear classifier of rows of pixels as skl2onnx writes it, with its label as a second output."""
    random = np.random.default_rng(2)
    node = helper.make_node(
        "LinearClassifier",
        ["X"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        coefficients=random.normal(0, 0.1, sides * sides * labels).tolist(),
        intercepts=random.normal(0, 1, labels).tolist(),
        classlabels_ints=list(range(labels)),
        post_transform="SOFTMAX",
    )
    outputs = [value("label", ["n"], TensorProto.INT64), value("probabilities", ["n", labels])]
    return model_of([node], [value("X", ["n", sides * sides])], outputs, domains=["ai.onnx.ml"])


def test_a_classifier_of_scikit_learn_takes_rows_of_pixels(tmp_path: Path) -> None:
    """Its scores are the named output; pixels are in the order of the rows of the image."""
    images = IMAGES[..., :1]
    model = classifier_of_pixels(16, 3)
    facts = converted(tmp_path, model, images, labels=3, output_name="probabilities")
    session = onnx_runtime().InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(["probabilities"], {"X": images.reshape(len(images), -1)})[0]
    np.testing.assert_allclose(facts["scores"], expected, atol=1e-6)


def test_another_number_of_labels_is_reported_and_nothing_written(tmp_path: Path) -> None:
    """The message of models.importing.checks names the labels."""
    facts = converted(tmp_path, torch_net(labels=3), IMAGES[..., :1], labels=2, logits=True)
    assert facts["output_shape"] == [3]
    assert not (tmp_path / CONVERTED_ONNX_FILE).exists()


def test_a_network_that_marks_pixels_is_refused(tmp_path: Path) -> None:
    """A segmentation returns an image instead of a row of scores."""
    model = torch_net()
    model.graph.output[0].CopyFrom(value("/conv2", ["n", 6, 7, 7]))
    with pytest.raises(RefusedModel, match="is 1x6x7x7 for one image, but it must be one row of scores"):
        converted(tmp_path, model, IMAGES[..., :1])


def test_an_output_with_axes_of_length_one_is_a_row(tmp_path: Path) -> None:
    """Fully convolutional classifiers return (batch, labels, 1, 1)."""
    model = torch_net()
    del model.graph.node[5:]
    model.graph.output[0].CopyFrom(value("/pool", ["n", 6, 1, 1]))
    facts = converted(tmp_path, model, IMAGES[..., :1], labels=6, logits=True)
    np.testing.assert_allclose(np.sum(facts["scores"], axis=1), 1, atol=1e-6)


def test_what_onnx_runtime_cannot_run_is_refused_with_the_operator(tmp_path: Path) -> None:
    """The rest of its message is left out, because it quotes the file."""
    model = torch_net()
    model.graph.node[0].input[1] = "conv2.weight"  # four channels instead of one
    with pytest.raises(RefusedModel, match=r"ONNX Runtime \S+ cannot (load|run) the network.*opset 17"):
        converted(tmp_path, model, IMAGES[..., :1], logits=True)


def test_names_of_the_file_do_not_meet_those_of_the_import(tmp_path: Path) -> None:
    """A network may call its own values `images` and `scores`."""
    model = torch_net()
    model.graph.input[0].name = model.graph.node[0].input[0] = "images"
    model.graph.node[-1].output[0] = model.graph.output[0].name = "scores"
    facts = converted(tmp_path, model, IMAGES[..., :1], logits=True)
    assert (facts["graph"]["input"], facts["graph"]["output"]) == ("images_", "scores_")


def test_a_converted_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    """The second inspection does not trust the process that wrote the file."""
    with pytest.raises(RefusedModel, match="does not take images, or returns no scores"):
        check_converted(save(torch_net(), tmp_path / "net.onnx"), SIZE, 2)
