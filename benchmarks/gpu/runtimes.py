"""Run the benchmark's network with TensorFlow, JAX or ONNX Runtime."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from benchmarks.gpu.network import Array, Convolution, Layers

FLOAT32, BFLOAT16, FLOAT16 = "float32", "bfloat16", "float16"
PRECISIONS = (FLOAT32, BFLOAT16, FLOAT16)
"""Precisions of weights and activations; the last layer and the scores are always float32. On recent NVIDIA GPUs,
float32 is computed as TF32."""


class Runtime(Protocol):
    """One network in one precision on one device."""

    device: str
    """Text such as `GPU` or `CPU`."""

    def put(self, inputs: Array) -> Any:
        """Copy inputs to the device, and return them after the copy is complete."""

    def run(self, resident: Any) -> None:
        """Score inputs that are on the device, and return after the scores are computed."""

    def scores(self, inputs: Array) -> Array:
        """Copy inputs to the device, score them, and return the scores on the host."""


class _TensorFlow:
    def __init__(self, layers: Layers, precision: str) -> None:
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
        self._tf = tf
        self.device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        kind = tf.as_dtype(precision)
        constant = {id(each): tf.constant(each.weights, kind) for each in _convolutions(layers)}

        def convolve(values: Any, layer: Convolution) -> Any:
            sides = [[0, 0], list(layer.padding), list(layer.padding), [0, 0]]
            return tf.nn.conv2d(values, constant[id(layer)], layer.stride, sides)

        def forward(values: Any) -> Any:
            values = tf.nn.relu(convolve(tf.cast(values, kind), layers.stem))
            values = tf.nn.max_pool2d(values, 2, 2, "VALID")
            values = _blocks(values, layers, convolve, tf.nn.relu)
            return tf.nn.softmax(tf.cast(tf.reduce_mean(values, (1, 2)), tf.float32) @ layers.dense)

        self._forward = tf.function(forward)

    def put(self, inputs: Array) -> Any:
        resident = self._tf.identity(self._tf.constant(inputs))
        self._tf.reduce_sum(resident[:1]).numpy()
        return resident

    def run(self, resident: Any) -> None:
        self._forward(resident).numpy()

    def scores(self, inputs: Array) -> Array:
        return self._forward(self._tf.constant(inputs)).numpy()


class _Jax:
    def __init__(self, layers: Layers, precision: str) -> None:
        import jax
        from jax import lax
        from jax import numpy as jnp

        self._jax = jax
        self.device = "GPU" if jax.default_backend() == "gpu" else "CPU"
        kind = jnp.dtype(precision)
        constant = {id(each): jnp.asarray(each.weights, kind) for each in _convolutions(layers)}

        def convolve(values: Any, layer: Convolution) -> Any:
            strides, sides = (layer.stride,) * 2, [layer.padding] * 2
            order = ("NHWC", "HWIO", "NHWC")
            return lax.conv_general_dilated(values, constant[id(layer)], strides, sides, dimension_numbers=order)

        def forward(values: Any) -> Any:
            values = jax.nn.relu(convolve(values.astype(kind), layers.stem))
            values = lax.reduce_window(values, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
            values = _blocks(values, layers, convolve, jax.nn.relu)
            return jax.nn.softmax(values.mean((1, 2)).astype(jnp.float32) @ layers.dense)

        self._forward = jax.jit(forward)

    def put(self, inputs: Array) -> Any:
        return self._jax.device_put(inputs).block_until_ready()

    def run(self, resident: Any) -> None:
        self._forward(resident).block_until_ready()

    def scores(self, inputs: Array) -> Array:
        return np.asarray(self._forward(inputs))


class _OnnxRuntime:
    def __init__(self, layers: Layers, precision: str) -> None:
        from benchmarks.gpu.onnx_file import model_bytes
        from models.runtimes.onnx_library import onnx_runtime

        ort = onnx_runtime()
        self._ort = ort
        wanted = [name for name in ("CUDAExecutionProvider",) if name in ort.get_available_providers()]
        options = ort.SessionOptions()
        options.log_severity_level = 4
        self._session = ort.InferenceSession(
            model_bytes(layers, precision), options, providers=[*wanted, "CPUExecutionProvider"]
        )
        self.device = "GPU" if "CUDAExecutionProvider" in self._session.get_providers() else "CPU"
        self._place = ("cuda", 0) if self.device == "GPU" else ("cpu", 0)

    def put(self, inputs: Array) -> Any:
        return self._ort.OrtValue.ortvalue_from_numpy(inputs, *self._place)

    def run(self, resident: Any) -> None:
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("frames", resident)
        binding.bind_output("scores", *self._place)
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    def scores(self, inputs: Array) -> Array:
        return self._session.run(["scores"], {"frames": inputs})[0]


_CLASSES: dict[str, Callable[[Layers, str], Runtime]] = {
    "tensorflow": _TensorFlow,
    "jax": _Jax,
    "onnxruntime": _OnnxRuntime,
}


def open_runtime(name: str, layers: Layers, precision: str) -> Runtime:
    """Load the network. Raises an error of the runtime if it does not support the precision."""
    return _CLASSES[name](layers, precision)


def _blocks(
    values: Any, layers: Layers, convolve: Callable[[Any, Convolution], Any], relu: Callable[[Any], Any]
) -> Any:
    for block in layers.blocks:
        branch = convolve(relu(convolve(values, block.first)), block.second)
        values = relu(branch + (convolve(values, block.short_cut) if block.short_cut else values))
    return values


def _convolutions(layers: Layers) -> list[Convolution]:
    found = [layers.stem]
    for block in layers.blocks:
        found += [each for each in (block.first, block.second, block.short_cut) if each]
    return found
