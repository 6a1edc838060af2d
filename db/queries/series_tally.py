"""Count the results of the series of a period, and the series that are not formed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, Select, distinct, func, or_, select

from db.engine import Database
from db.ledger.series_values import SeriesState
from db.queries.series_order import WAITING_SLICES
from db.queries.snapshot import snapshot
from db.series_tables import is_unformed, series, series_results
from db.tables import State, bundles
from nightread.reasons import Reason


class SeriesOutcome(StrEnum):
    """What became of one stack of a series for one bundle, or of a series without any result."""

    FORMED = "formed"
    PARTIAL = "partial"
    """The stack has a result, but slices are unfinished, or images of the study are missing."""
    AMBIGUOUS = "ambiguous"
    """The series has no result, because nothing tells its stacks apart."""
    REJECTED = "rejected"
    """The bundle does not accept such series, or the series has a bad slice."""
    FAILED = "failed"
    EMPTY = "empty"
    """The series was formed without a result, because none of its slices has a score."""
    WAITING = "waiting"
    """The series waits for slices, or is being formed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesLabel:
    """How many results of series have this label."""

    model: str
    """`NAME@VERSION`."""
    label: str | None
    results: int
    partial: int
    """How many of these results are partial."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesTally:
    """The series of a period; results of models on trial are left out."""

    series: int
    """Series whose latest change is in the period: a slice got an outcome, or an attempt to form the series failed."""
    outcomes: Mapping[SeriesOutcome, int]
    """Outcome -> number of stacks, counted once per bundle; a series without any result counts once. All keys exist."""
    labels: Sequence[SeriesLabel]
    """Labels of the results, the most frequent first."""

    @property
    def results(self) -> int:
        """Return the sum of the outcomes."""
        return sum(self.outcomes.values())

    def to_json(self) -> dict[str, Any]:
        """Return the object for programs; its names are stable."""
        return {
            "series": self.series,
            "outcomes": {outcome.value: number for outcome, number in self.outcomes.items()},
            "labels": [
                {"model": each.model, "label": each.label, "results": each.results, "partial": each.partial}
                for each in self.labels
            ],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class UnformedSeries:
    """The series that are not formed now."""

    states: Mapping[str, int]
    """State -> number of series: collecting, due and forming."""
    failed: int
    waiting_slices: int
    oldest: datetime | None
    """The earliest time at which one of the series in `states` began to collect slices; None if there is none."""


def series_tally(database: Database, *, since: datetime, until: datetime | None = None) -> SeriesTally:
    """Count the results of the series of a period, in one snapshot: about 0.1 s for 100,000."""
    within = [series.c.changed_at >= since, *([series.c.changed_at < until] if until is not None else [])]
    with snapshot(database) as connection:
        number = connection.execute(_SERIES.where(*within)).scalar_one()
        rows = connection.execute(_RESULTS.where(*within)).all() if number else []
    outcomes = dict.fromkeys(SeriesOutcome, 0)
    labels: Counter[tuple[str, str | None]] = Counter()
    partial: Counter[tuple[str, str | None]] = Counter()
    for row in rows:
        outcomes[_outcome(row)] += row.results
        if row.state == State.DONE:
            key = f"{row.name}@{row.version}", row.label
            labels[key] += row.results
            partial[key] += row.results if row.partial else 0
    return SeriesTally(
        series=number,
        outcomes=outcomes,
        labels=[
            SeriesLabel(model=key[0], label=key[1], results=results, partial=partial[key])
            for key, results in labels.most_common()
        ],
    )


def unformed_by_state(database: Database) -> UnformedSeries:
    """Count the series that are not formed, by state. Formed series are not read, because they may be many."""
    with snapshot(database) as connection:
        rows = connection.execute(_BY_STATE).all()
        failed = connection.execute(_FAILED).scalar_one()
        waiting = connection.execute(WAITING_SLICES).scalar_one()
    states = {state.value: 0 for state in (SeriesState.COLLECTING, SeriesState.DUE, SeriesState.FORMING)}
    return UnformedSeries(
        states=states | {row.state: row.number for row in rows},
        failed=failed,
        waiting_slices=waiting,
        oldest=min((row.oldest for row in rows), default=None),
    )


def _outcome(row: Row[Any]) -> SeriesOutcome:
    """Return the outcome of a group. If a series failed or is changing now, its earlier result does not count."""
    if row.series_state == SeriesState.FAILED or row.state == State.FAILED:
        return SeriesOutcome.FAILED
    if row.series_state != SeriesState.FORMED:
        return SeriesOutcome.WAITING
    if row.state is None:
        return SeriesOutcome.EMPTY
    if row.state == State.REJECTED:
        is_ambiguous = row.reason == Reason.AMBIGUOUS_SERIES
        return SeriesOutcome.AMBIGUOUS if is_ambiguous else SeriesOutcome.REJECTED
    return SeriesOutcome.PARTIAL if row.partial else SeriesOutcome.FORMED


_OF_RESULT = (series_results.c.state, series_results.c.reason, series_results.c.partial, series_results.c.label)
_OF_GROUP = (series.c.state, *_OF_RESULT, bundles.c.name, bundles.c.version)
_IS_SHOWN = or_(series_results.c.id.is_(None), ~series_results.c.shadow)
_JOINED = series.outerjoin(series_results, series_results.c.series_id == series.c.id).outerjoin(
    bundles, bundles.c.id == series_results.c.bundle_id
)
_SERIES: Select[Any] = select(func.count(distinct(series.c.id))).select_from(_JOINED).where(_IS_SHOWN)
_RESULTS: Select[Any] = (
    select(series.c.state.label("series_state"), *_OF_GROUP[1:], func.count().label("results"))
    .select_from(_JOINED)
    .where(_IS_SHOWN)
    .group_by(*_OF_GROUP)
)
_BY_STATE = (
    select(series.c.state, func.count().label("number"), func.min(series.c.began_at).label("oldest"))
    .where(is_unformed())
    .group_by(series.c.state)
)
_FAILED = select(func.count()).select_from(series).where(series.c.reason.is_not(None))
