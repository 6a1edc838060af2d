"""Compare the scores of a network's author with the scores that this installation computes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.importing.alternatives import alternatives, closest
from models.importing.convert import converted
from models.importing.errors import RefusedModel
from models.importing.golden import TOLERANCE, Golden
from models.importing.graph_options import GraphOptions
from models.runtimes.network import ROUNDING

_EXAMPLES_TO_TRY = 4
_MUCH_CLOSER = 0.2


@dataclass(frozen=True, kw_only=True)
class GoldenComparison:
    """The differences between the golden scores and the scores of this installation."""

    golden: Golden
    differences: NDArray[np.float64]
    """(n, labels): absolute differences."""

    @property
    def largest(self) -> float:
        """Return the largest difference over all images and labels."""
        return float(self.differences.max())

    @property
    def spread(self) -> float:
        """Return the largest range of the golden scores of one label; if it is small, errors may go unnoticed."""
        return float(np.ptp(self.golden.scores, axis=0).max())

    def to_json(self) -> dict[str, Any]:
        """Return the content for import.json: digests instead of images and names, which may identify patients."""
        return {
            "verified": True,
            "tolerance": TOLERANCE,
            "largest_difference": self.largest,
            "spread_of_scores": self.spread,
            "examples": [
                {"sha256": example.sha256, "largest_difference": float(differences.max())}
                for example, differences in zip(self.golden.examples, self.differences, strict=True)
            ],
        }


def compare(
    bundle: Bundle,
    file: Path,
    golden: Golden,
    scores: NDArray[np.float64],
    *,
    options: GraphOptions | None = None,
    accept_weaker: bool = False,
) -> GoldenComparison:
    """Compare the golden scores with `scores`, which this installation computed.

    Raises RefusedModel with the likely cause if a difference is larger than TOLERANCE.
    """
    inside = golden.scores.min() >= -ROUNDING and golden.scores.max() <= 1 + ROUNDING
    if not inside or not np.isfinite(golden.scores).all():
        raise RefusedModel(
            f"The golden scores are from {golden.scores.min():.3g} to {golden.scores.max():.3g}. "
            f"Give the scores in 0..1: the output of the network after its {bundle.postprocessing.activation}."
        )
    comparison = GoldenComparison(golden=golden, differences=np.abs(golden.scores - scores))
    if comparison.largest <= TOLERANCE:
        return comparison
    if order := _order_of_labels(bundle.labels, golden.scores, scores):
        raise RefusedModel(
            f"The golden scores differ by up to {comparison.largest:.4f} (allowed: {TOLERANCE:g}) because the labels "
            f"are in another order. With this order they equal the author's: --labels {','.join(order)}."
        )
    row, column = np.unravel_index(int(comparison.differences.argmax()), comparison.differences.shape)
    raise RefusedModel(
        f"The golden scores differ by up to {comparison.largest:.4f} (allowed: {TOLERANCE:g}), most of all for "
        f"{golden.examples[row].name}, {bundle.labels[column]}: {golden.scores[row, column]:.4f} from the author, "
        f"{scores[row, column]:.4f} here. The preprocessing differs from that of the author. "
        f"{_hint(bundle, file, golden, options=options, accept_weaker=accept_weaker)}"
    )


def _order_of_labels(
    labels: tuple[str, ...], theirs: NDArray[np.float64], ours: NDArray[np.float64]
) -> tuple[str, ...] | None:
    """Return the only order of the labels in which all scores agree; None if there is none or more than one."""
    agree = np.abs(theirs[:, :, None] - ours[:, None, :]).max(axis=0) <= TOLERANCE
    if not (agree.sum(axis=0) == 1).all() or not (agree.sum(axis=1) == 1).all():
        return None
    return tuple(labels[index] for index in agree.argmax(axis=0))


def _hint(bundle: Bundle, file: Path, golden: Golden, *, options: GraphOptions | None, accept_weaker: bool) -> str:
    """Return a hint about the right preprocessing, by trying common kinds on a few examples with different scores."""
    few = _few(golden)
    tries = list(alternatives(bundle.spec))
    inputs = np.concatenate([few.inputs(spec) for _, spec in tries])
    with converted(
        file, bundle.spec.shape, inputs, labels=len(bundle.labels), options=options, accept_weaker=accept_weaker
    ) as found:
        candidates = list(found.scores.reshape(len(tries), len(few.examples), -1))
    best, difference = closest(few.scores, candidates)
    now = float(np.abs(few.scores - candidates[0]).max())
    if difference <= TOLERANCE:
        return f"With these options the scores equal the author's: {tries[best][0]}."
    tried = (
        "Inverted, other ranges (0..1, 0..255, -1..1, -1024..1024), BGR, other windows, aspects and interpolations "
        "were tried"
    )
    if difference < now * _MUCH_CLOSER:
        return f"{tried}. The closest scores differ by {difference:.4f}: {tries[best][0]}."
    return (
        f"{tried}, but none gives the same scores. Ask the author of the model for the exact steps from file to input."
    )


def _few(golden: Golden) -> Golden:
    chosen = np.linspace(0, len(golden.examples) - 1, min(len(golden.examples), _EXAMPLES_TO_TRY)).round().astype(int)
    ranked = np.argsort(golden.scores[:, 0], kind="stable")[chosen]
    return Golden(examples=tuple(golden.examples[row] for row in ranked), scores=golden.scores[ranked])
