"""How well labels were given: counts, precision and recall."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Precision and recall of one finding over a set of images with known truth."""

    finding: str
    images: int
    precision: float
    """Of the images that were given the finding, the share that has it; 1 where none was given it."""
    recall: float
    """Of the images that have the finding, the share that was given it; 1 where none has it."""
    confusion: dict[str, dict[str, int]]
    """True label -> given label -> images."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for training.json."""
        return asdict(self)


def evaluate(pairs: Iterable[tuple[str, str | None]], *, finding: str) -> Evaluation:
    """Compare (true label, given label) of each image."""
    counts = Counter((true, given or "none") for true, given in pairs)
    hits = counts[finding, finding]
    given = sum(count for (_, label), count in counts.items() if label == finding)
    present = sum(count for (label, _), count in counts.items() if label == finding)
    confusion: dict[str, dict[str, int]] = {}
    for (true, label), count in sorted(counts.items()):
        confusion.setdefault(true, {})[label] = count
    return Evaluation(
        finding=finding,
        images=counts.total(),
        precision=hits / given if given else 1.0,
        recall=hits / present if present else 1.0,
        confusion=confusion,
    )
