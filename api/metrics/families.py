"""Make families of metrics whose names begin with `nightread_`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Values = float | None | Mapping[Any, float]
"""One value; None if there is no value now; or a mapping from tuples of label values to values."""


def gauge(name: str, text: str, values: Values, *, labels: tuple[str, ...] = ()) -> Metric:
    """Return a gauge. Without a value, only its name and help text are written, so that `absent()` is true."""
    family = GaugeMetricFamily(f"nightread_{name}", text, labels=labels)
    _add(family, values)
    return family


def counter(name: str, text: str, values: Values, *, labels: tuple[str, ...] = ()) -> Metric:
    """Return a counter; `_total` is appended to its name."""
    family = CounterMetricFamily(f"nightread_{name}", text, labels=labels)
    _add(family, values)
    return family


def timestamp(moment: datetime | None) -> float | None:
    """Return a time as Prometheus expects it, in seconds since 1970."""
    return None if moment is None else moment.timestamp()


def _add(family: GaugeMetricFamily | CounterMetricFamily, values: Values) -> None:
    if isinstance(values, Mapping):
        for of_labels, value in values.items():
            family.add_metric(of_labels, value)
    elif values is not None:
        family.add_metric((), values)
