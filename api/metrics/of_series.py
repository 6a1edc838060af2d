"""Turn the series and their results into metrics."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import Metric

from api.metrics.families import gauge, timestamp
from db import queries
from db.engine import Database


def series_metrics(database: Database, night_began_at: datetime) -> Iterator[Metric]:
    """Yield the metrics of series. No label names a series, a model or a finding."""
    unformed = queries.unformed_by_state(database)
    states = {(state,): float(number) for state, number in unformed.states.items()}
    text = "Series without a result, by state: they collect slices, are due, or are being formed."
    yield gauge("series_unformed", text, states, labels=("state",))
    yield gauge("series_failed", "Series that could not be formed, until they are retried.", unformed.failed)
    text = "Slices that are not analysed yet, because their series is not in order yet."
    yield gauge("series_waiting_slices", text, unformed.waiting_slices)
    text = "When the oldest series without a result began to collect slices; absent if there is none."
    yield gauge("series_oldest_unformed_timestamp_seconds", text, timestamp(unformed.oldest))
    tally = queries.series_tally(database, since=night_began_at)
    results = {(outcome.value,): float(number) for outcome, number in tally.outcomes.items()}
    text = "Results of series since the current or last night began, by outcome."
    yield gauge("series_results", text, results, labels=("result",))
