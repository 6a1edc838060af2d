"""ONNX files of other authors: what is refused before anything runs them, and with which remedy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_graphs import model_of, save, torch_net, value, weights
from onnx import TensorProto, helper

from models.importing.errors import RefusedModel
from models.importing.foreign import GRAPH, detect_format
from models.importing.graph_options import GraphOptions
from models.importing.graphs.convert import Prepared, prepare_graph
from models.importing.graphs.inspection import bad_weights

SIZE = (16, 16, 1)
LOGITS = GraphOptions(activation="softmax", logits=True)


def prepared(tmp_path: Path, model: Any, *, size: tuple[int, int, int] = SIZE, **options: Any) -> Prepared:
    given = GraphOptions(**({"activation": "softmax"} | options))
    return prepare_graph(save(model, tmp_path / "net.onnx"), size, given)


def with_node(node: Any, **changes: Any) -> Any:
    """Return the network of PyTorch with one more operator between the image and the first convolution."""
    model = torch_net(**changes)
    node.output[:] = ["more"]
    model.graph.node.insert(0, node)
    model.graph.node[1].input[0] = "more"
    return model


def _external(place: str) -> Any:
    model = torch_net()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    return model


def _changed(change: Callable[[Any], object]) -> Any:
    model = torch_net()
    change(model)
    return model


def _huge_weights(model: Any) -> None:
    model.graph.initializer[0].dims[:] = [2**40, 2**40, 3, 3]


def _many_axes(model: Any) -> None:
    model.graph.initializer[0].dims[:] = [1] * 100_000


def _function(model: Any) -> None:
    model.functions.append(
        helper.make_function("theirs", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])], [])
    )


def _nested(depth: int) -> Any:
    """Return a branch in a branch in a branch."""
    graph = helper.make_graph([helper.make_node("Identity", ["input.1"], ["z"])], "deep", [], [value("z", None)])
    for level in range(depth):
        inner = helper.make_node("If", ["condition"], [f"z{level}"], then_branch=graph)
        graph = helper.make_graph([inner], f"level{level}", [], [value(f"z{level}", None)])
    return helper.make_node("If", ["condition"], ["z"], then_branch=graph)


def _endless_loop() -> Any:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [value("round", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("x", None)],
        [value("on", [], TensorProto.BOOL), value("y", None)],
    )
    model = with_node(helper.make_node("Loop", ["rounds", "", "input.1"], ["x"], body=body))
    model.graph.initializer.append(weights("rounds", 10**18, np.int64))
    return model


def _training_dropout() -> Any:
    model = with_node(helper.make_node("Dropout", ["input.1", "", "mode"], ["x"]))
    model.graph.initializer.append(weights("mode", True, np.bool_))
    return model


def _batch_norm() -> Any:
    names = ["scale", "bias", "mean", "variance"]
    model = with_node(helper.make_node("BatchNormalization", ["input.1", *names], ["x"], training_mode=1))
    model.graph.initializer.extend(weights(name, [1.0]) for name in names)
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _external("/etc/passwd"), r"conv1\.weight lie in another file.*external_data=False"),
        (lambda: _external("../../../../etc/shadow"), "lie in another file, which nightread does not open"),
        (lambda: _changed(_huge_weights), "shape that does not fit the numbers in the file"),
        (lambda: _changed(_many_axes), "shape that does not fit the numbers in the file"),
        (lambda: torch_net(side=2**40), "more than 2,147,483,648 numbers"),
        (lambda: torch_net(side=-3), "negative size"),
        (lambda: _changed(_function), r"operators of its own \(theirs\.Twice\).*inline_local_functions"),
        (lambda: with_node(helper.make_node("Evil", ["input.1"], ["x"], domain="theirs")), r"theirs\.Evil.*code"),
        (lambda: with_node(helper.make_node("Evil", ["input.1"], ["x"])), r"operator Evil .* not an operator of the"),
        (lambda: with_node(helper.make_node("Gelu", ["input.1"], ["x"], domain="com.microsoft")), "optimizer wrote it"),
        (lambda: with_node(helper.make_node("RandomNormalLike", ["input.1"], ["x"])), "result is random"),
        (_endless_loop, r"Loop \(-\) is refused: it may run for ever"),
        (lambda: with_node(_nested(10)), "8 levels of graphs inside of graphs"),
        (_training_dropout, r"training mode \(Dropout.*net\.eval\(\)"),
        (_batch_norm, r"training mode \(BatchNormalization.*net\.eval\(\)"),
        (lambda: _changed(lambda model: model.training_info.add()), "training steps"),
        (lambda: _changed(lambda model: model.opset_import.__delitem__(0)), r"one version of the standard operators"),
        (lambda: _changed(lambda model: setattr(model.opset_import[0], "version", 999)), "has opset 999"),
        (lambda: _changed(lambda model: setattr(model, "ir_version", 10**9)), "format version 1000000000"),
        (lambda: _changed(lambda model: model.graph.ClearField("node")), "holds no ONNX network"),
        (lambda: _changed(lambda model: model.graph.sparse_initializer.add()), "sparse weights"),
        (lambda: torch_net(batch=8), "takes exactly 8 images at once.*dynamic_axes"),
        (lambda: torch_net(kind=TensorProto.INT64), "takes int64; float32"),
        (lambda: torch_net(end="Softmax"), "ends with softmax.*Leave --logits out"),
    ],
)
def test_a_file_that_is_more_than_a_network_is_refused(tmp_path: Path, make: Callable[[], Any], message: str) -> None:
    """The message names the place in the file, the reason and what its author can do."""
    with pytest.raises(RefusedModel, match=message):
        prepared(tmp_path, make(), logits=True)


def test_a_file_with_a_million_operators_is_refused(tmp_path: Path) -> None:
    """No real network has so many, and each of them takes time to look at."""
    model = torch_net()
    model.graph.node.extend([helper.make_node("Relu", ["a"], ["b"])] * 100_001)
    with pytest.raises(RefusedModel, match="more than 100,000 operators"):
        prepared(tmp_path, model)


@pytest.mark.parametrize("length", [1, 7, 100, 1000])
def test_a_truncated_file_is_refused(tmp_path: Path, length: int) -> None:
    """An interrupted copy ends in the middle of a part."""
    file = tmp_path / "net.onnx"
    file.write_bytes(torch_net().SerializeToString()[:length])
    with pytest.raises(RefusedModel, match="damaged"):
        prepare_graph(file, SIZE, LOGITS)


def test_the_format_is_recognised_by_its_first_bytes(tmp_path: Path) -> None:
    """Files that people take for ONNX files get a hint of their own."""
    file = save(torch_net(), tmp_path / "net.pth")
    assert detect_format(file) == GRAPH
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(RefusedModel, match="git lfs pull"):
        detect_format(file)


def test_fields_outside_of_the_standard_are_removed(tmp_path: Path) -> None:
    """What was checked is what is written; descriptions, which may name people, are left out, too."""
    model = torch_net()
    model.metadata_props.add(key="site", value="a hospital")
    model.graph.doc_string = "by somebody"
    file = tmp_path / "net.onnx"
    file.write_bytes(model.SerializeToString() + b"\xfa\x3f\x06secret")
    assert b"secret" in file.read_bytes()
    written = prepare_graph(file, SIZE, LOGITS).rewriter.model.SerializeToString()
    assert not any(text in written for text in (b"secret", b"a hospital", b"by somebody"))


def two_outputs() -> Any:
    """Return a network like those of scikit-learn: a label and the scores."""
    model = torch_net(end="Softmax")
    model.graph.node.append(helper.make_node("ArgMax", ["output"], ["label"], axis=1, keepdims=0))
    model.graph.output.insert(0, value("label", ["n"], TensorProto.INT64))
    return model


def test_one_of_several_outputs_is_named(tmp_path: Path) -> None:
    """The refusal lists them; what only the others need is removed."""
    with pytest.raises(RefusedModel, match=r"2 outputs: label \(int64 any\), output \(float32 anyx2\)\. Give --output"):
        prepared(tmp_path, two_outputs())
    with pytest.raises(RefusedModel, match=r"label .* is not a row of scores.*zipmap=False"):
        prepared(tmp_path, two_outputs(), output_name="label")
    with pytest.raises(RefusedModel, match="no output 'scores'; it has: label"):
        prepared(tmp_path, two_outputs(), output_name="scores")
    graph = prepared(tmp_path, two_outputs(), output_name="output").rewriter.model.graph
    assert "ArgMax" not in [node.op_type for node in graph.node]


def test_a_second_input_is_refused_and_named(tmp_path: Path) -> None:
    """A worker has nothing but the image to give."""
    model = torch_net()
    model.graph.input.append(value("age", ["n", 1]))
    with pytest.raises(RefusedModel, match=r"2 inputs: input\.1 .*, age \(float32 anyx1\)\. Give --input-name"):
        prepared(tmp_path, model)
    with pytest.raises(RefusedModel, match="also needs the input age"):
        prepared(tmp_path, model, input_name="input.1")


def test_weights_listed_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    """Exporters before format 4 listed all of them."""
    model = torch_net()
    model.graph.input.extend(value(tensor.name, list(tensor.dims)) for tensor in model.graph.initializer)
    assert prepared(tmp_path, model).source.name == "input.1"


@pytest.mark.parametrize(
    ("shape", "size", "stated", "layout"),
    [
        (["n", 3, 8, 8], (8, 8, 3), None, "NCHW"),
        (["n", 8, 8, 3], (8, 8, 3), None, "NHWC"),
        (["n", 1, 8, 8], (8, 8, 1), None, "NCHW"),
        (["n", "c", "h", "w"], (8, 8, 3), "NCHW", "NCHW"),
        (["n", 3, 3, 3], (3, 3, 3), "NHWC", "NHWC"),
        (["n", 8, 8], (8, 8, 1), None, "NHWC"),
        (["n", 64], (8, 8, 1), None, "NHWC"),
    ],
)
def test_the_layout_is_what_the_shape_says(
    tmp_path: Path, shape: list[int | str], size: tuple[int, int, int], stated: str | None, layout: str
) -> None:
    """A layout must be stated only where the shape allows both."""
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", shape)], [value("y", shape)])
    assert prepared(tmp_path, model, size=size, layout=stated).layout == layout


@pytest.mark.parametrize(
    ("shape", "size", "stated", "message"),
    [
        (["n", "c", "h", "w"], (8, 8, 1), None, "Give --layout NCHW for a network of PyTorch"),
        (["n", 3, 3, 3], (3, 3, 3), None, "does not say where its channels are"),
        (["n", 192], (8, 8, 3), None, "does not say where its channels are"),
        (["n", 3, 8, 8], (8, 8, 3), "NHWC", "does not take images of 8x8x3 .*with --layout NHWC"),
        (["n", 1, 28, 28], (8, 8, 1), None, "anyx1x28x28.* does not take images of 8x8x1"),
        (["n", 1, 8, 8, 8], (8, 8, 1), None, "does not have the axes of images"),
        (None, (8, 8, 1), None, "does not have the axes of images"),
    ],
)
def test_a_shape_that_no_image_has_is_refused(
    tmp_path: Path, shape: Any, size: tuple[int, int, int], stated: str | None, message: str
) -> None:
    """The message shows the shape of the input."""
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", shape)], [value("y", shape)])
    with pytest.raises(RefusedModel, match=message):
        prepared(tmp_path, model, size=size, layout=stated)


def test_weights_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    """A single infinite number is the limit of a Clip or a mask, and stays."""
    model = torch_net()
    model.graph.initializer.append(weights("limit", np.inf))
    assert bad_weights(model.graph) == []
    model.graph.initializer.append(weights("fc\x1b[2J", [1.0, np.nan]))
    model.graph.initializer.append(weights("other", [np.inf, 0.0]))
    assert bad_weights(model.graph) == ["fc?[2J", "other"]
