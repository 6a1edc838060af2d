"""Define the evidence for results: the regions of images that a network's label depends on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Point = tuple[float, float]
"""Column and row in pixels of the image; (0, 0) is the top left corner of the top left pixel (PS3.3, C.18.6.1.2)."""


class NoRegions(StrEnum):
    """The reasons why a finding has no region, in the words of the report's comment."""

    NOT_INSTALLED = "neither TensorFlow nor ONNX Runtime is installed on the host that made the report"
    NO_BUNDLE = "the host that made the report does not have the model"
    NOT_EXPLAINABLE = "the network has no convolutions"
    NEEDS_NEIGHBOURS = "the network sees neighbouring slices, which are not read again for regions"
    NO_ORIGINAL = "the original file is gone or was changed"
    NO_HEAT = "no region is evidence for the label"
    FAILED = "the computation failed"
    TOO_MANY = "only the findings with the highest scores are explained"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """The evidence for one result: outlines in one frame of its image."""

    frame: int | None
    """Number of the frame, from 1; None if the image has only one frame."""
    regions: tuple[tuple[Point, ...], ...]
    """Corners of the outlines, the largest region first."""
    method: str = "Grad-CAM"
    """How the regions were computed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyEvidence:
    """The evidence for the findings of a study."""

    found: Mapping[tuple[int, str], Evidence] = field(default_factory=dict)
    """The evidence for each finding that has regions, by image id and digest of the bundle."""
    without: Mapping[NoRegions, int] = field(default_factory=dict)
    """The number of findings without a region, by reason."""


NO_EVIDENCE = StudyEvidence()
"""The evidence of a report whose destination does not want regions."""
