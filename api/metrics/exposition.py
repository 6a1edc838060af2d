"""Write all metrics in the text format of Prometheus. This module needs no web framework."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from api.metrics.families import gauge
from api.metrics.of_condition import condition_metrics
from api.metrics.of_parts import part_metrics
from api.metrics.of_series import series_metrics
from api.metrics.of_work import work_metrics
from api.status import Status, take_status
from db import queries
from db.engine import Database
from nightread import __version__
from nightread.alarm_rules import AlarmRule
from nightread.nights import Nights
from nightread.settings import Settings

CONTENT_TYPE = CONTENT_TYPE_LATEST


@dataclass(frozen=True, kw_only=True, slots=True)
class _Collected(Collector):
    """The metrics of one scrape. Nothing is kept for the next scrape."""

    families: tuple[Metric, ...]

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, each as a family of the Prometheus client."""
        yield from self.families


def metrics_text(database: Database, settings: Settings, nights: Nights, now: datetime) -> bytes:
    """Return all metrics, computed now. Raises database errors: a scrape then fails and returns no old values."""
    began = time.perf_counter()
    status = take_status(database, settings, nights, now)
    families = [*_families(database, status, nights)]
    families.append(gauge("metrics_timestamp_seconds", "When these metrics were computed.", now.timestamp()))
    seconds = time.perf_counter() - began
    families.append(gauge("metrics_duration_seconds", "How long it took to compute these metrics.", seconds))
    return generate_latest(_Collected(families=tuple(families)))


def _families(database: Database, status: Status, nights: Nights) -> Iterator[Metric]:
    yield gauge("info", "Release of nightread that computed these metrics.", {(__version__,): 1.0}, labels=("version",))
    yield from condition_metrics(status)
    yield from part_metrics(status)
    yield from work_metrics(database, status)
    yield from series_metrics(database, nights.bounds(nights.latest(status.at))[0])
    rules = Counter(alarm.rule for alarm in queries.alarms(database, is_open=True))
    found = {(rule.value,): float(rules[rule.value]) for rule in AlarmRule}
    yield gauge("open_alarms", "Open alarms of `nightread watchdog`, by rule.", found, labels=("rule",))
    yield gauge("unsent_notices", "Messages that wait for an alarm channel.", queries.unsent_notices(database))
