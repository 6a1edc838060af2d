"""Define the benchmark's network: a residual network of 18 layers with weights from a random generator.

The seed is fixed, so that every runtime gets the same weights and their scores can be compared. Nothing is downloaded.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

LABELS = 2
_SEED = 16
_STAGES = 4
_BLOCKS = 2
_BRANCH_GAIN = 0.5
"""Factor for the weights of residual branches. It keeps activations near 1 without normalisation."""


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """A convolution: weights (rows, columns, channels in, channels out), stride, and padding for every runtime."""

    weights: Array
    stride: int

    @property
    def padding(self) -> tuple[int, int]:
        """Return the zeros before and after each side."""
        before = (self.weights.shape[0] - 1) // 2
        return before, before


@dataclass(frozen=True, kw_only=True)
class Block:
    """Two convolutions, and the short cut around them. If the shape changes, the short cut is a convolution too."""

    first: Convolution
    second: Convolution
    short_cut: Convolution | None


@dataclass(frozen=True, kw_only=True)
class Layers:
    """All weights of the network: 7x7 convolution with stride 2, 2x2 maximum, eight blocks, mean, dense, softmax."""

    stem: Convolution
    blocks: tuple[Block, ...]
    dense: Array


def make_layers(width: int) -> Layers:
    """Return the layers of a network for one channel; `width` is the number of channels of the first stage."""
    random = np.random.default_rng(_SEED)

    def convolution(size: int, inputs: int, outputs: int, stride: int, gain: float = 1.0) -> Convolution:
        deviation = gain * (2 / (size * size * inputs)) ** 0.5
        weights = random.normal(0, deviation, (size, size, inputs, outputs)).astype(np.float32)
        return Convolution(weights=weights, stride=stride)

    stem = convolution(7, 1, width, 2)
    blocks = []
    channels = width
    for stage in range(_STAGES):
        outputs = width * 2**stage
        for number in range(_BLOCKS):
            stride = 2 if stage and not number else 1
            changes = stride > 1 or outputs != channels
            blocks.append(
                Block(
                    first=convolution(3, channels, outputs, stride),
                    second=convolution(3, outputs, outputs, 1, _BRANCH_GAIN),
                    short_cut=convolution(1, channels, outputs, stride, 0.7) if changes else None,
                )
            )
            channels = outputs
    return Layers(
        stem=stem,
        blocks=tuple(blocks),
        dense=random.normal(0, channels**-0.5, (channels, LABELS)).astype(np.float32),
    )


def operations(layers: Layers, pixels: int) -> float:
    """Return the floating-point operations for one frame: two for each multiplication and addition."""
    size = pixels
    total = 0.0

    def count(convolution: Convolution, rows: int) -> int:
        nonlocal total
        rows = -(-rows // convolution.stride)
        total += 2.0 * rows * rows * convolution.weights.size
        return rows

    size = count(layers.stem, size) // 2
    for block in layers.blocks:
        if block.short_cut:
            count(block.short_cut, size)
        size = count(block.first, size)
        count(block.second, size)
    return total + 2.0 * layers.dense.size


def make_inputs(count: int, pixels: int) -> Array:
    """Return random frames (count, pixels, pixels, 1) in [0, 1), because zeros would be faster than real data."""
    return np.random.default_rng(_SEED).random((count, pixels, pixels, 1), np.float32)
