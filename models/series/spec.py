"""Define the table `series` of a bundle with `unit = "series"`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from imaging.series.rules import EVERY_SERIES, SeriesRules

MAX, MEAN, TOP_K, SHARE, RUN, HEAD = SERIES_AGGREGATES = ("max", "mean", "top_k", "share", "run", "head")
SLICE, NEIGHBOURS, WHOLE = BAD_SLICE_COSTS = ("slice", "neighbours", "series")
_COUNTING = (SHARE, RUN)
"""Aggregates that count slices above a level; their scores are shares and lengths, not probabilities."""


@dataclass(frozen=True, kw_only=True)
class SeriesSpec:
    """The table `series` of bundle.json; docs/series_results.md explains each field."""

    aggregate: str
    """`max`, `mean`, `top_k`, `share`, `run`, or `head`: a second network over the scores of the slices."""
    count: int = 3
    """For `top_k`: how many slices count. For `run`: how many slices in a row give the score 1."""
    above: float = 0.5
    """The score from which a slice speaks for the label. The aggregates `share` and `run` count such slices."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Thresholds of the series by label; for a label without a threshold here, the threshold for slices applies."""
    bad_slice: str = SLICE
    """What is left out if a slice has no result: the slice, its neighbours too, or the whole series."""
    rules: SeriesRules = EVERY_SERIES
    """Which series the bundle accepts."""

    def __post_init__(self) -> None:
        """Raise ValueError if the fields contradict each other."""
        _require("aggregate", self.aggregate, SERIES_AGGREGATES)
        _require("bad_slice", self.bad_slice, BAD_SLICE_COSTS)
        if type(self.count) is not int or self.count < 1:
            raise ValueError(f"series: count is {self.count!r}, not a positive whole number")
        for name, value in (("above", self.above), *self.thresholds.items()):
            if not 0 <= value <= 1:
                raise ValueError(f"series: {name} must be between 0 and 1")

    @property
    def counts_slices(self) -> bool:
        """Return whether the score of a label is a share or a length of a run, not a probability."""
        return self.aggregate in _COUNTING

    def check(self, findings: frozenset[str]) -> None:
        """Raise ValueError unless the thresholds fit the findings of the bundle."""
        if unknown := self.thresholds.keys() - findings:
            raise ValueError(
                f"series: thresholds names {', '.join(sorted(unknown))}, which is not a finding of the bundle"
            )
        if self.counts_slices and (missing := findings - self.thresholds.keys()):
            raise ValueError(
                f"series: thresholds must name {', '.join(sorted(missing))}: the threshold of a slice does not "
                f"apply to the aggregate {self.aggregate}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the table `series` of bundle.json."""
        rules = {name: value for name, value in asdict(self.rules).items() if value is not None}
        return {**asdict(self), "thresholds": dict(self.thresholds), "rules": rules}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """Read the table `series` of bundle.json. Raises KeyError, TypeError or ValueError."""
        known = dict(table)
        rules = SeriesRules.from_json(dict(known.pop("rules", {})))
        thresholds = {label: float(level) for label, level in dict(known.pop("thresholds", {})).items()}
        above = float(known.pop("above", cls.above))
        return cls(**known, above=above, thresholds=thresholds, rules=rules)


def _require(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"series: {name} is {value!r}; allowed: {', '.join(allowed)}")
