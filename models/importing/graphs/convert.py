"""Convert a foreign ONNX file in the sandbox so that it takes images and returns scores, and score images with it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.importing.errors import RefusedModel
from models.importing.graph_options import FREE, ONE_BY_ONE, GraphOptions
from models.importing.graphs.inspection import (
    bad_weights,
    check_graph,
    count_parameters,
    opset_of,
    read_model,
    short,
)
from models.importing.graphs.ports import Port, activation_of, image_input, layout_of, score_output, type_name
from models.importing.graphs.rewrite import SCAN_OPSET, Rewriter, Size, remove_unused
from models.importing.job import CONVERTED_ONNX_FILE, INPUTS_FILE
from models.importing.memory import limit_memory, limit_memory_for_loading, limit_memory_for_parsing
from models.postprocessing import SOFTMAX

_PROBES = 4
_TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A foreign graph that takes images and still has its own output."""

    rewriter: Rewriter
    source: Port
    target: Port
    layout: str
    ends_with: str | None
    """The activation that the foreign graph applies last; None if it is neither softmax nor sigmoid."""


def convert_graph(folder: Path, file: Path, size: Size, labels: int, options: GraphOptions) -> dict[str, Any]:
    """Convert the file and return plain values about the network; models.importing.convert.Conversion reads them.

    Raises RefusedModel. Images are scored only if the network has `labels` outputs and its weights are finite numbers.
    """
    limit_memory_for_parsing(file.stat().st_size)
    prepared = prepare_graph(file, size, options)
    facts = _facts(prepared) | {
        "activation": options.activation if options.logits else prepared.ends_with,
        "input_shape": list(size),
        "output_shape": [labels],
    }
    if facts["bad_weights"]:
        return facts
    limit_memory_for_loading(file.stat().st_size)
    rewriter, target = prepared.rewriter, prepared.target
    from models.importing.graphs.session import GraphSession, version  # noqa: PLC0415 - after the file is inspected

    rewriter.end_at(target)
    raw = GraphSession(rewriter.model)
    limit_memory(None)
    shape = raw.scores(np.zeros((1, *size), np.float32)).shape
    facts["graph"]["onnxruntime"] = version()
    facts["output_shape"] = [_labels(shape, target)]
    if facts["output_shape"] != [labels]:
        return facts
    activation = options.activation if options.logits else None
    if activation == SOFTMAX:
        _check_logits(raw, size)
    rewriter.return_scores(target, labels=labels, is_row=shape == (1, labels), activation=activation)
    session, facts["graph"]["batch"] = _in_batches(rewriter, size, labels)
    facts["graph"] |= {"added": rewriter.added, "input": rewriter.images, "output": rewriter.scores}
    (folder / CONVERTED_ONNX_FILE).write_bytes(rewriter.model.SerializeToString())
    return facts | _answers(session, folder, size)


def prepare_graph(file: Path, size: Size, options: GraphOptions) -> Prepared:
    """Inspect the file and change its graph to take images of `size`; the graph is not run. Raises RefusedModel."""
    model = read_model(file)
    source, target = image_input(model.graph, options.input_name), score_output(model.graph, options.output_name)
    layout = layout_of(source, size, options.layout)
    remove_unused(model.graph, target.name)
    check_graph(model.graph)
    ends_with = activation_of(model.graph, target.name)
    if options.logits and ends_with is not None:
        raise RefusedModel(
            f"The network ends with {ends_with}, so its outputs are scores and not logits. Leave --logits out, and "
            f"give --activation {ends_with}."
        )
    rewriter = Rewriter(model)
    rewriter.take_images(source, size, layout)
    return Prepared(rewriter=rewriter, source=source, target=target, layout=layout, ends_with=ends_with)


def _check_logits(raw: Any, size: Size) -> None:
    """Refuse to add a second softmax to a network that spells its softmax with other operators."""
    noise = np.random.default_rng(0).random((_PROBES, *size), np.float32)
    outputs = np.concatenate([raw.scores(image[None]).reshape(1, -1) for image in noise])
    if outputs.min() >= 0 and np.abs(outputs.sum(axis=1) - 1).max() <= _TOLERANCE:
        raise RefusedModel(
            "The outputs of the network are 0 or more and add up to 1, so they are scores and not logits. Leave "
            "--logits out."
        )


def check_converted(file: Path, size: Size, labels: int) -> dict[str, Any]:
    """Inspect a converted file again, in a process that has read no other file. Raises RefusedModel."""
    limit_memory_for_parsing(file.stat().st_size)
    model = read_model(file)
    check_graph(model.graph)
    source, target = image_input(model.graph, None), score_output(model.graph, None)
    if (source.kind, target.kind) != (1, 1) or source.shape != (None, *size) or target.shape != (None, labels):
        raise RefusedModel("The converted network does not take images, or returns no scores. Do not use this file.")
    return {"checked": True}


def _facts(prepared: Prepared) -> dict[str, Any]:
    model = prepared.rewriter.model
    return {
        "parameters": count_parameters(model.graph),
        "bad_weights": bad_weights(model.graph),
        "graph": {
            "opset": opset_of(model),
            "ir_version": model.ir_version,
            "producer": short(f"{model.producer_name} {model.producer_version}".strip()),
            "layout": prepared.layout,
            "source": str(prepared.source),
            "target": str(prepared.target),
            "input_type": type_name(prepared.source.kind),
        },
    }


def _labels(shape: tuple[int, ...], target: Port) -> int:
    """Return the number of scores for one image. Raises RefusedModel if the output is not one row for each image."""
    long = [length for length in shape[1:] if length != 1]
    if not shape or shape[0] != 1 or len(long) > 1:
        sizes = "x".join(map(str, shape)) or "one number"
        raise RefusedModel(
            f"The output {target} is {sizes} for one image, but it must be one row of scores. "
            "Ask the author of the model for a network that classifies whole images, or give --output-name with "
            "another output."
        )
    return long[0] if long else 1


def _in_batches(rewriter: Rewriter, size: Size, labels: int) -> tuple[Any, str]:
    """Return a session and the way in which it takes a batch. An image has the same scores in a batch as alone."""
    from models.importing.graphs.session import GraphSession  # noqa: PLC0415

    session = GraphSession(rewriter.model)
    images = _noise(size)
    alone = session.one_by_one(images)
    try:
        together = session.scores(images)
    except RefusedModel:
        together = np.empty(0)
    if together.shape == alone.shape and np.allclose(together, alone, rtol=0, atol=_TOLERANCE, equal_nan=True):
        return session, FREE
    if rewriter.opset < SCAN_OPSET:
        raise RefusedModel(
            "The network takes only one image at a time. "
            "Ask the author of the model to export it with a free batch size (dynamic_axes)."
        )
    rewriter.run_one_by_one(size, labels)
    return GraphSession(rewriter.model), ONE_BY_ONE


def _noise(size: Size) -> Any:
    return np.random.default_rng(0).random((_PROBES, *size), np.float32)


def _answers(session: Any, folder: Path, size: Size) -> dict[str, Any]:
    noise = _noise(size)
    probes = session.scores(np.concatenate([noise, noise * 255 - 128, np.zeros((1, *size), np.float32)]))
    inputs = folder / INPUTS_FILE
    scores = session.scores(np.load(inputs, allow_pickle=False)).tolist() if inputs.is_file() else []
    return {"probes": probes.tolist(), "scores": scores}
