"""Define what a comparison of two networks takes and returns."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from models.comparison.agreement import ROUNDS, SEED, Estimate
from models.comparison.proportions import PairedCounts
from models.comparison.roc_areas import AreaDifference

ANY_FINDING = "any finding"
RIGHT = "right label"
"""A yes-or-no question: is the label that the network gave true? Images without a known answer are left out."""
STRATA = ("modality", "device", "view")


class NetworkLabels(NamedTuple):
    """A network: its reference, its digest, its labels in the order of its scores, and its normal label."""

    reference: str
    digest: str
    labels: tuple[str, ...]
    normal_label: str | None


class PairedResult(NamedTuple):
    """The results of both networks for one image."""

    image_id: int
    patient: str | None
    """A key that is the same for all images of a patient."""
    strata: Mapping[str, str | None]
    """The modality, device and view of the image, by the names in STRATA."""
    labels: tuple[str | None, str | None]
    scores: tuple[tuple[float, ...], tuple[float, ...]]
    """The scores of each network, in the order of its labels."""
    suspicion: tuple[float | None, float | None]
    """The suspicion of each network: its evidence for any finding; None without a normal label."""
    truth: Mapping[str, bool]
    """True or False for each label whose truth is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flip:
    """An image to which the networks give different labels."""

    image_id: int
    first_label: str | None
    second_label: str | None
    first_score: float | None
    """The score of the first label."""
    second_score: float | None
    change: float
    """The largest change of a score, 0 to 1, over the labels that both networks have."""
    modality: str | None
    device: str | None
    view: str | None
    truth: str | None
    """The true labels, separated by commas, or `none of the known labels`; None if the truth is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Discordance:
    """How often the networks answer one yes-or-no question differently."""

    question: str
    """ANY_FINDING, RIGHT, or a label; a label asks whether the network gives this label."""
    counts: PairedCounts
    difference: float | None
    """The share of images with the answer yes: second network minus first network."""
    low: float | None
    high: float | None
    mcnemar_p: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreShift:
    """How the scores of one label, or the suspicions, of both networks correlate and shift."""

    label: str
    images: int
    pearson: Estimate
    spearman: Estimate
    shift: Estimate
    """The mean difference of the scores: second network minus first network."""
    largest: float
    """The largest difference between the two scores of one image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StratumAgreement:
    """The agreement on the images of one modality, device or view."""

    kind: str
    value: str | None
    images: int
    flips: int
    agreement: float
    """The share of images with the same label."""
    kappa: Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelAreas:
    """The areas under the ROC curves for one label."""

    label: str
    areas: AreaDifference


@dataclass(frozen=True, kw_only=True, slots=True)
class NightComparison:
    """The comparison of two networks on the images that both have analysed."""

    first: NetworkLabels
    second: NetworkLabels
    images: int
    patients: int | None
    """The number of patients; None if no patient is known, so that images count as independent."""
    flips: tuple[Flip, ...]
    """The flips, sorted by `change`, the largest first."""
    discordance: tuple[Discordance, ...]
    agreement: float | None
    """The share of images with the same label."""
    kappa: Estimate
    shifts: tuple[ScoreShift, ...]
    strata: tuple[StratumAgreement, ...]
    with_truth: int
    areas: tuple[LabelAreas, ...]
    rounds: int = ROUNDS
    seed: int = SEED

    def to_json(self) -> dict[str, Any]:
        """Return plain values. The names are part of the interface and do not change."""
        values = asdict(self)
        for name in ("first", "second"):
            values[name] = getattr(self, name)._asdict()
        return values
