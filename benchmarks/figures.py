"""What a benchmark finds out: a figure, and what the speed budget asks of it."""

import statistics
from dataclasses import dataclass

NOT_INSTALLED = "not installed: pip install 'nightread[bench]'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One side of it is set. docs/performance.md has the numbers."""

    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"

    def is_met_by(self, value: float) -> bool:
        """Whether the value is on the right side, the bar itself included."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    values: tuple[float, ...] = ()
    """One per repetition; none where it could not be measured."""
    unit: str = ""
    bar: Bar | None = None
    note: str = ""
    """What it is made of: rates, parts, or why there is none."""
    bound_by: str = ""
    """Where the time went in the runs that gave this figure: shown where the bar is not met."""

    @property
    def median(self) -> float:
        """Of all repetitions. Raises statistics.StatisticsError where there are none."""
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool | None:
        """Whether the median meets the bar; None where one of them is missing."""
        return self.bar.is_met_by(self.median) if self.bar and self.values else None

    def to_json(self) -> dict[str, object]:
        """For programs; every value is kept."""
        return {
            "name": self.name,
            "median": self.median if self.values else None,
            "values": list(self.values),
            "unit": self.unit,
            "bar": str(self.bar) if self.bar else None,
            "met": self.is_met,
            "note": self.note,
            "bound_by": self.bound_by,
        }


def median(values: list[float]) -> float:
    """For notes beside a figure."""
    return statistics.median(values)
