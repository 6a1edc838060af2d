"""Compute which pixels of a frame are evidence for a label, and how strong the evidence is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.explanations import grad_cam, occlusion
from models.runtimes.keras_network import KerasNetwork
from models.runtimes.network import Network
from nightread.errors import UsageFault

AT_THRESHOLD = 0.5
"""The place of the threshold on the scale of Explanation.level."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The explanation of one score of one frame."""

    bundle: Bundle
    label: str
    score: float
    """The score of `label` from the network, neither calibrated nor aggregated."""
    method: str
    """How the map was computed: `Grad-CAM`, or `occlusion` for a network that does not run on Keras."""
    layer: str | None
    """The layer whose output the map is computed from; None for occlusion."""
    heat: NDArray[np.float32]
    """(height, width) of the input, 0..1: how strongly each pixel is evidence for `label`, relative to the strongest
    pixel; 0 everywhere if there is no evidence.
    """
    level: float
    """How strong the evidence is, on one scale for all images: 0 for score 0, 0.5 for the threshold, 1 for score 1."""
    threshold: float
    """The lowest calibrated score with which `label` is the result; 0.5 if the bundle has no threshold for it."""
    prepared: NDArray[np.float32]
    """(height, width, channels): the input of the network."""

    @property
    def scaled_heat(self) -> NDArray[np.float32]:
        """Return the heat on the scale of `level`, so that colours of different images can be compared."""
        return self.heat * np.float32(self.level)

    @property
    def reaches_threshold(self) -> bool:
        """Return whether the evidence is strong enough for a finding."""
        return self.level >= AT_THRESHOLD


def explain(network: Network, prepared: NDArray[np.float32], label: str | None = None) -> Explanation:
    """Explain one prepared frame, (height, width, channels). The default label is the finding with the highest score.

    A network that runs on Keras is explained by Grad-CAM, any other network by occlusion. Raises UsageFault for an
    unknown label, and with Keras for a network without convolutions.
    """
    bundle = network.bundle
    inputs = np.ascontiguousarray(prepared[None], np.float32)
    scores = network.batch_scores(inputs)[0]
    output = _output_of(bundle, scores, label)
    threshold = bundle.postprocessing.thresholds.get(bundle.labels[output])
    threshold = AT_THRESHOLD if threshold is None else threshold
    calibrated = bundle.postprocessing.image_result(scores[None]).scores[output]
    if isinstance(network, KerasNetwork):
        method = grad_cam.METHOD
        evidence, layer = grad_cam.grad_cam(network, inputs, output)
    else:
        method, layer = occlusion.METHOD, None
        evidence = occlusion.occlusion(network, inputs, output)
    return Explanation(
        bundle=bundle,
        label=bundle.labels[output],
        score=float(scores[output]),
        method=method,
        layer=layer,
        heat=_relative(evidence),
        level=_level(calibrated, threshold),
        threshold=threshold,
        prepared=inputs[0],
    )


def _output_of(bundle: Bundle, scores: NDArray[np.float32], label: str | None) -> int:
    if label is not None:
        if label not in bundle.labels:
            raise UsageFault(f"{bundle.reference} has no label {label}; it has {', '.join(bundle.labels)}.")
        return bundle.labels.index(label)
    findings = [index for index, name in enumerate(bundle.labels) if name != bundle.postprocessing.normal_label]
    return max(findings or range(len(scores)), key=lambda index: float(scores[index]))


def _level(score: float, threshold: float) -> float:
    """Convert a score to a level, linearly below and above the threshold, which has the level 0.5."""
    if score < threshold:
        return AT_THRESHOLD * score / threshold
    return 1 - (1 - AT_THRESHOLD) * (1 - score) / (1 - threshold) if threshold < 1 else 1.0


def _relative(evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale the evidence so that its highest value is 1; without evidence all values are 0."""
    highest = float(evidence.max())
    scaled: NDArray[np.float32] = evidence / np.float32(highest) if highest > 0 else evidence
    return scaled
