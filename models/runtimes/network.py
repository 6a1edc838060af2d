"""Define what every loaded network offers, and check it against its bundle."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from nightread.errors import StopWork

ROUNDING = 1e-4
"""How far outside of 0..1 a score may be, because of rounding. For example, the float32 shares of a thousand trees of
a forest can add up to 1.000014.
"""
Shape = tuple[int | None, ...]
"""The shape of the data for one image. None stands for a size that is free."""


class Network(Protocol):
    """A bundle with its loaded network. Load it in the process that uses it: TensorFlow does not survive a fork."""

    @property
    def bundle(self) -> Bundle:
        """Return the bundle that the network belongs to."""

    @property
    def runtime(self) -> str:
        """Return the runtime and its version as results state them, for example `onnxruntime 1.32.0`."""

    def batch_scores(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores (n, labels) float32 of prepared frames (n, height, width, channels), in one device call."""


def check_shapes(bundle: Bundle, input_shape: Shape, output_shape: Shape) -> None:
    """Raise StopWork unless the network takes (height, width, channels) and returns (labels,) of bundle.json."""
    for kind, wanted, found in (
        ("input", bundle.spec.shape, input_shape),
        ("output", (len(bundle.labels),), output_shape),
    ):
        if len(wanted) != len(found) or any(
            size not in (None, asked) for asked, size in zip(wanted, found, strict=True)
        ):
            raise StopWork(
                f"model {bundle.reference}: the network's {kind} has the shape {found}, but bundle.json says {wanted}. "
                "Correct the input or the labels in the bundle, and save it again."
            )


def check_scores(network: Network) -> None:
    """Score one frame of zeros, because a network that returns logits passes all other checks. Raises StopWork."""
    bundle = network.bundle
    scores = network.batch_scores(np.zeros((1, *bundle.spec.shape), np.float32))
    if scores.shape != (1, len(bundle.labels)):
        check_shapes(bundle, bundle.spec.shape, scores.shape[1:])
    if not np.isfinite(scores).all():
        raise StopWork(
            f"model {bundle.reference}: the network returns NaN or infinity for an image of zeros. "
            "Use another version of the model, or train it again."
        )
    if scores.min() < -ROUNDING or scores.max() > 1 + ROUNDING:
        raise StopWork(
            f"model {bundle.reference}: the network returns scores outside of 0..1 for an image of zeros. Add the "
            f"{bundle.postprocessing.activation} activation, which bundle.json names, as the last layer of the "
            "network, and save the bundle again."
        )
