"""Read the data of drift plots: the bins of a night and of its reference, and the distances of the last nights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import select

from db.drift.comparison import NightDrift
from db.drift.nights import kept_night, of_fields
from db.drift.references import reference_content
from db.drift_tables import drift_results
from db.engine import Database
from nightread.drift.judgement import DriftComparison, expected_counts, night_counts_of

NIGHTS_SHOWN = 14


@dataclass(frozen=True, kw_only=True, slots=True)
class NightDistance:
    """The distance of one night, with its limit."""

    evening: date
    distance: float
    limit: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasurePlot:
    """The plot of one measure for one group of images."""

    comparison: DriftComparison
    bins: Sequence[str]
    night: Sequence[float]
    """Share of each bin in the images of the night."""
    reference: Sequence[float]
    history: Sequence[NightDistance]
    """The last nights with results, the oldest first, up to this night."""


def measure_plots(database: Database, drift: NightDrift, chosen: Sequence[DriftComparison]) -> Iterator[MeasurePlot]:
    """Yield a plot for each of the `chosen` comparisons of a night."""
    if drift.reference is None or not chosen:
        return
    reference = reference_content(database, drift.reference.id)
    night = of_fields(kept_night(database, drift.evening)[drift.reference.bundle_id], reference.fields)
    history = _history(database, drift)
    for comparison in chosen:
        counts = night_counts_of(reference, night, comparison.stratum)[comparison.measure]
        expected = expected_counts(reference, night, comparison.stratum)[comparison.measure]
        yield MeasurePlot(
            comparison=comparison,
            bins=reference.measures.bins[comparison.measure],
            night=(counts / max(1, counts.sum())).tolist(),
            reference=(expected / max(1, expected.sum())).tolist(),
            history=[
                NightDistance(evening=evening, distance=each.distance, limit=each.limit)
                for evening, comparisons in history
                for each in comparisons
                if each.key == comparison.key
            ],
        )


def _history(database: Database, drift: NightDrift) -> list[tuple[date, list[DriftComparison]]]:
    """Return the comparisons of the last nights with the same reference, the oldest first."""
    if drift.reference is None:
        return []
    first = drift.evening - timedelta(days=NIGHTS_SHOWN - 1)
    statement = (
        select(drift_results.c.evening, drift_results.c.comparisons)
        .where(
            drift_results.c.bundle_id == drift.reference.bundle_id,
            drift_results.c.reference_id == drift.reference.id,
            drift_results.c.evening.between(first.isoformat(), drift.evening.isoformat()),
        )
        .order_by(drift_results.c.evening)
    )
    with database.read() as connection:
        rows = connection.execute(statement).all()
    return [(date.fromisoformat(row.evening), [*map(DriftComparison.from_json, row.comparisons)]) for row in rows]
