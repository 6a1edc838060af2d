"""A model bundle: one network as a folder, with everything that turns its scores into a result."""

import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from imaging.spec import InputSpec
from models.verdict import ACTIVATIONS, AGGREGATES, ImageResult, Rule, Scores
from nightread.errors import StopWork

FORMAT = 1
WEIGHTS_FILE = "model.keras"
CARD_FILE = "bundle.json"
TRAINING_FILE = "training.json"

_DESCRIPTIVE = ("intended_use", "exclusions", "digest")
"""What people read and no score depends on: not covered by the digest."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What bundle.json says; docs/bundles.md explains each field."""

    name: str
    version: str
    labels: tuple[str, ...]
    """One per output of the network, in its order."""
    normal_label: str | None = None
    """What an image is called in which no finding reaches its threshold; None: such an image has no label."""
    activation: str
    thresholds: dict[str, float | None]
    """Per finding: the score from which it counts; None (softmax only): when it is the highest of all labels."""
    temperature: float = 1.0
    """Calibration (Guo et al., 2017): logits are divided by it. 1 leaves the scores as they are."""
    spec: InputSpec
    aggregate: str = "max"
    intended_use: str
    exclusions: tuple[str, ...] = ()
    not_for_diagnosis: bool = True
    digest: str = ""
    """SHA-256, 64 hex digits, over weights and every field that a score or its label depends on."""
    path: Path = field(default=Path(), compare=False)

    def __post_init__(self) -> None:
        """Raise ValueError for a field that makes no sense."""
        _check(self)
        object.__setattr__(self, "_rule", Rule.of(self))

    @property
    def reference(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def weights(self) -> Path:
        """The Keras file."""
        return self.path / WEIGHTS_FILE

    def image_result(self, scores: Scores) -> ImageResult:
        """The result of one image from the scores of its frames, (frames, labels). Raises FateError(bad_scores)."""
        return self._rule.image_result(scores)

    def image_results(self, scores: Scores) -> list[ImageResult | None]:
        """The results of many images of one frame each, (images, labels); None where a score is not finite."""
        return self._rule.image_results(scores)

    def suspicion(self, scores: Scores) -> Scores:
        """How much speaks against `normal_label`, 0..1, for scores of shape (..., labels)."""
        return self._rule.suspicion(scores)
