"""Turn arrivals, outcomes, batches and deliveries into metrics."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from math import ceil

from prometheus_client.core import Metric

from api.metrics.families import counter, gauge, timestamp
from api.status import Status
from db import queries
from db.engine import Database
from db.ledger.delivery_values import DeliveryState
from db.queries.steady_rate import WINDOW

_LONGEST_BATCH = timedelta(minutes=15)
_PERCENTILES = (50, 95, 100)
_MOST_PHASES = 20
_MINUTES = int(WINDOW.total_seconds() // 60)


def work_metrics(database: Database, status: Status) -> Iterator[Metric]:
    """Yield the metrics of the work. The metrics of finished batches are sums over the last ten minutes."""
    tally = status.tally
    arrival, outcome = queries.latest_times(database)
    yield counter("arrivals", "Images that arrived.", tally.arrived)
    yield gauge("last_arrival_timestamp_seconds", "When the latest image arrived.", timestamp(arrival))
    outcomes = {(state, "", ""): float(getattr(tally, state)) for state in ("done", "duplicate", "expanded")}
    outcomes |= {(state, fault, reason): float(images) for state, reason, fault, images in status.reasons}
    text = "Images with an outcome, by state, class of the reason (defective, out_of_scope, failed) and reason."
    yield counter("outcomes", text, outcomes, labels=("state", "reason_class", "reason"))
    yield gauge("last_outcome_timestamp_seconds", "When the latest outcome was recorded.", timestamp(outcome))
    oldest = queries.oldest_unfinished(database) if tally.unfinished else None
    text = "When the oldest image without an outcome arrived; absent if there is none."
    yield gauge("oldest_unfinished_timestamp_seconds", text, timestamp(oldest))
    yield gauge("throughput_images_per_second", "Throughput of the latest minutes of work.", status.pace.per_second)
    batches = {("published",): float(status.batches_published), ("claimed",): float(status.batches_claimed)}
    text = "Open batches: published to Redis and not claimed yet (the queue), or claimed by a worker."
    yield gauge("open_batches", text, batches, labels=("state",))
    yield from _recent(database, status)
    yield from _deliveries(database)


def _recent(database: Database, status: Status) -> Iterator[Metric]:
    since = status.at - WINDOW
    recent = queries.recent_work(database, since=since, oldest=since - _LONGEST_BATCH, until=status.at)
    ended = {("completed",): float(len(recent.sizes)), ("taken_back",): float(recent.taken_back)}
    text = (
        f"Batches that ended in the last {_MINUTES} minutes: completed, or taken back and delivered again because a "
        "process died or hung."
    )
    yield gauge("recent_batches", text, ended, labels=("result",))
    images = {("finished",): float(recent.finished_images), ("requeued",): float(recent.requeued_images)}
    text = f"Images in the batches of the last {_MINUTES} minutes: with an outcome, or requeued for another attempt."
    yield gauge("recent_images", text, images, labels=("result",))
    sizes = {(str(share),): float(_percentile(recent.sizes, share)) for share in _PERCENTILES if recent.sizes}
    text = f"Images per completed batch of the last {_MINUTES} minutes."
    yield gauge("recent_batch_images", text, sizes, labels=("percentile",))
    phases = sorted(recent.seconds.items())[:_MOST_PHASES]
    text = f"Seconds that worker processes spent in each phase, in the batches of the last {_MINUTES} minutes."
    yield gauge("recent_phase_seconds", text, {(phase,): seconds for phase, seconds in phases}, labels=("phase",))


def _percentile(ascending: Sequence[int], share: int) -> int:
    return ascending[max(0, ceil(share * len(ascending) / 100) - 1)]


def _deliveries(database: Database) -> Iterator[Metric]:
    counts = queries.delivery_counts(database)
    values = {(state.value,): float(counts.get(state.value, 0)) for state in DeliveryState}
    yield gauge("deliveries", "Deliveries of reports by state.", values, labels=("state",))
