"""How one number that a network computes changes with the output of one of its layers, on any backend of Keras."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Objective = Callable[[Any], Any]
"""From the network's output for one image, (labels,), to the number."""
_Forward = Callable[[Any], tuple[Any, Any]]
"""From what is added to the layer's output to (the number, the layer's output)."""


def executed(model: Any, inputs: Array) -> list[tuple[Any, tuple[int, ...]]]:
    """Layers, those of inner models too, in the order in which they ran, with the shapes of their outputs."""
    ran: list[tuple[Any, tuple[int, ...]]] = []

    def note(layer: Any) -> Callable[[Any], Any]:
        def look(output: Any) -> Any:
            if hasattr(output, "shape"):
                ran.append((layer, tuple(output.shape)))
            return output

        return look

    with ExitStack() as taps:
        for layer in dict.fromkeys(_leaves(model)):  # an inner model may share layers with the outer one
            taps.enter_context(tapped(layer, note(layer)))
        _answer(model, inputs)
    return ran


def gradient(
    model: Any, layer: Any, shape: tuple[int, ...], inputs: Array, objective: Objective
) -> tuple[Array, Array]:
    """The output of `layer` (of this shape) for one image, (1, height, width, channels), and the gradient.

    The trick: something that is zero is added to the output, and the gradient is taken with respect to it. So inner
    models need no opening, and each backend needs three lines.
    """
    import keras  # noqa: PLC0415 - seconds to import, and only who explains needs it

    def forward(added: Any) -> tuple[Any, Any]:
        seen: list[Any] = []

        def add(output: Any) -> Any:
            seen.append(output)
            return output + keras.ops.cast(added, output.dtype)

        with tapped(layer, add):
            number = objective(_answer(model, inputs)[0])
        return number, seen[-1]

    found, features = _BACKENDS[keras.backend.backend()](forward, np.zeros(shape, np.float32))
    return tuple(keras.ops.convert_to_numpy(part).astype(np.float32) for part in (features, found))


@contextmanager
def tapped(layer: Any, change: Callable[[Any], Any]) -> Iterator[None]:
    """Send the layer's output through `change` for a while."""
    call, earlier = layer.call, vars(layer).get("call")

    def tapped_call(*arguments: Any, **options: Any) -> Any:
        return change(call(*arguments, **options))

    vars(layer)["call"] = tapped_call  # past Keras' own tracking of attributes: this is no part of the network
    try:
        yield
    finally:
        if earlier is None:
            del vars(layer)["call"]
        else:
            vars(layer)["call"] = earlier


def _answer(model: Any, inputs: Array) -> Any:
    """Networks differ in whether they want their one input bare, in a list, or by name."""
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
