"""Compare the labels of a period with those of earlier nights."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

from db.queries.night import LabelCount, LabelSample

_DEVIATIONS = 3.0
"""A share is unusual if it is outside the range of the earlier shares by more than this many standard errors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelHistory:
    """The share of one label among the answers of one model, in a period and in earlier nights."""

    model: str
    label: str | None
    images: int
    share: float
    low: float | None
    high: float | None
    middle: float | None
    """`low`, `high` and `middle` are the lowest, highest and median share in earlier nights. They are None if there
    were no earlier nights."""
    word: str
    """`as before`, `more than before`, `fewer than before` or `no earlier night`."""


def label_rows(labels: Sequence[LabelCount], earlier: Sequence[LabelSample]) -> list[LabelHistory]:
    """Return one row per model and label, also for labels that occur only in earlier nights."""
    totals: dict[str, int] = defaultdict(int)
    for count in labels:
        totals[count.model] += count.images
    counts = {(count.model, count.label): count.images for count in labels}
    past = {key: 0 for sample in earlier for key in sample.labels if key[0] in totals}
    keys = sorted(counts | {key: 0 for key in past if key not in counts}, key=lambda key: (key[0], -counts.get(key, 0)))
    return [_row(key, counts.get(key, 0), totals[key[0]], list(_shares(key, earlier))) for key in keys]


def _shares(key: tuple[str, str | None], earlier: Sequence[LabelSample]) -> Iterator[float]:
    for sample in earlier:
        total = sum(images for (model, _), images in sample.labels.items() if model == key[0])
        if total:
            yield sample.labels.get(key, 0) / total


def _row(key: tuple[str, str | None], images: int, total: int, before: list[float]) -> LabelHistory:
    share = images / total
    low, high, middle = (min(before), max(before), median(before)) if before else (None, None, None)
    return LabelHistory(
        model=key[0],
        label=key[1],
        images=images,
        share=share,
        low=low,
        high=high,
        middle=middle,
        word=_word(share, total, low, high),
    )


def _word(share: float, total: int, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "no earlier night"
    if share > high + _DEVIATIONS * _error(high, total):
        return "more than before"
    return "fewer than before" if share < low - _DEVIATIONS * _error(low, total) else "as before"


def _error(share: float, total: int) -> float:
    """Return the standard error of a share, but at least the share of one image."""
    return max(sqrt(share * (1 - share) / total), 1 / total)
