"""Define the measured figures and the targets of the speed budget."""

import statistics
from dataclasses import dataclass

NOT_INSTALLED = "not installed: pip install 'nightread[bench]'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A lower or an upper limit for a figure; one of the two is set. docs/performance.md has the targets."""

    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"

    def is_met_by(self, value: float) -> bool:
        """Return whether the value meets the target. A value equal to the limit meets it."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One row of the table."""

    name: str
    values: tuple[float, ...] = ()
    """One value per repetition; empty if it could not be measured."""
    unit: str = ""
    target: Target | None = None
    note: str = ""
    """Details: rates, parts, or the reason why there is no value."""
    bound_by: str = ""
    """How the runs of this figure spent their time. The table shows it if the target is missed."""

    @property
    def median(self) -> float:
        """Return the median of all repetitions. Raises statistics.StatisticsError if there are none."""
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool | None:
        """Return whether the median meets the target; None without a target or a value."""
        return self.target.is_met_by(self.median) if self.target and self.values else None

    def to_json(self) -> dict[str, object]:
        """Return the figure with all its values, for programs."""
        return {
            "name": self.name,
            "median": self.median if self.values else None,
            "values": list(self.values),
            "unit": self.unit,
            "bar": str(self.target) if self.target else None,
            "met": self.is_met,
            "note": self.note,
            "bound_by": self.bound_by,
        }


def median(values: list[float]) -> float:
    """Return the median of values that are shown in notes."""
    return statistics.median(values)
