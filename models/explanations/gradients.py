"""Compute the gradient of a number with respect to the output of a layer, on any backend of Keras."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Objective = Callable[[Any], Any]
"""A function that takes the network's output for one image, (labels,), and returns the number to differentiate."""
_Forward = Callable[[Any], tuple[Any, Any]]
"""A function that takes an array to add to a layer's output, and returns (number of the Objective, that output)."""


def executed(model: Any, inputs: Array) -> list[tuple[Any, tuple[int, ...]]]:
    """Return (layer, shape of its output) in the order in which the layers run, including layers of inner models."""
    ran: list[tuple[Any, tuple[int, ...]]] = []

    def recorder(layer: Any) -> Callable[[Any], Any]:
        def record(output: Any) -> Any:
            if hasattr(output, "shape"):
                ran.append((layer, tuple(output.shape)))
            return output

        return record

    with ExitStack() as taps:
        for layer in dict.fromkeys(_leaves(model)):  # an inner model may share layers with the outer one
            taps.enter_context(tapped(layer, recorder(layer)))
        _call_model(model, inputs)
    return ran


def gradient(
    model: Any, layer: Any, shape: tuple[int, ...], inputs: Array, objective: Objective
) -> tuple[Array, Array]:
    """Return the output of `layer` for one image, and the gradient of `objective` with respect to this output.

    `shape` is the shape of this output; `inputs` are (1, height, width, channels). An array of zeros is added to the
    output, and the gradient is taken with respect to that array. Inner models therefore need not be rebuilt, and the
    code for each backend has only three lines.
    """
    import keras  # noqa: PLC0415 - seconds to import, and needed for explanations only

    def forward(added: Any) -> tuple[Any, Any]:
        seen: list[Any] = []

        def add(output: Any) -> Any:
            seen.append(output)
            return output + keras.ops.cast(added, output.dtype)

        with tapped(layer, add):
            number = objective(_call_model(model, inputs)[0])
        return number, seen[-1]

    found, features = _BACKENDS[keras.backend.backend()](forward, np.zeros(shape, np.float32))
    return tuple(keras.ops.convert_to_numpy(part).astype(np.float32) for part in (features, found))


@contextmanager
def tapped(layer: Any, change: Callable[[Any], Any]) -> Iterator[None]:
    """Apply `change` to the output of the layer for as long as the context lasts."""
    call, earlier = layer.call, vars(layer).get("call")

    def tapped_call(*arguments: Any, **options: Any) -> Any:
        return change(call(*arguments, **options))

    vars(layer)["call"] = tapped_call  # setattr would register it with Keras as a part of the network
    try:
        yield
    finally:
        if earlier is None:
            del vars(layer)["call"]
        else:
            vars(layer)["call"] = earlier


def _call_model(model: Any, inputs: Array) -> Any:
    """Call the network. Its single input may be expected as an array, in a list, or by name."""
    import keras  # noqa: PLC0415

    return model(keras.tree.map_structure(lambda _: inputs, model.input), training=False)


def _leaves(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _leaves(layer)
        else:
            yield layer


def _by_tensorflow(forward: _Forward, zeros: Array) -> tuple[Any, Any]:
    import tensorflow as tf  # noqa: PLC0415 - one backend of several

    added = tf.convert_to_tensor(zeros)
    with tf.GradientTape() as tape:
        tape.watch(added)
        number, features = forward(added)
    return tape.gradient(number, added), features


def _by_jax(forward: _Forward, zeros: Array) -> tuple[Any, Any]:
    import jax  # noqa: PLC0415

    found, features = jax.grad(forward, has_aux=True)(zeros)
    return found, features


def _by_torch(forward: _Forward, zeros: Array) -> tuple[Any, Any]:
    import keras  # noqa: PLC0415

    added = keras.ops.convert_to_tensor(zeros).requires_grad_()
    number, features = forward(added)
    number.backward()
    return added.grad, features.detach()


_BACKENDS = {"tensorflow": _by_tensorflow, "jax": _by_jax, "torch": _by_torch}
