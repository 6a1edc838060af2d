"""List the rows of the table in the order in which they are measured."""

from collections.abc import Callable, Iterable
from functools import partial

from benchmarks import (
    api_latency,
    compare_celery,
    compare_loops,
    compare_ray,
    control_plane,
    large_record,
    latency,
    memory,
    million_images,
    one_night,
    page_times,
    pictures,
    saturation,
    scaling,
    series_rate,
    start_times,
    status_time,
)
from benchmarks.figures import Figure
from benchmarks.plan import Plan
from benchmarks.workloads import WORKLOADS

Measure = Callable[[Plan], Iterable[Figure]]

ROWS: dict[str, Measure] = {
    **{name: partial(compare_loops.measure, workload_name=name) for name in WORKLOADS},
    "celery": compare_celery.measure,
    "ray": compare_ray.measure,
    "control": partial(control_plane.measure, kind="SQLite"),
    "control-postgresql": partial(control_plane.measure, kind="PostgreSQL"),
    "latency": latency.measure,
    "api": api_latency.measure,
    "start": start_times.measure,
    "memory": memory.measure,
    "pictures": pictures.measure,
    "queries": partial(million_images.measure, kind="SQLite"),
    "pages": partial(page_times.measure, kind="SQLite"),
    "scaling": scaling.measure,
    "saturation": partial(saturation.measure, kind="SQLite"),
    "saturation-postgresql": partial(saturation.measure, kind="PostgreSQL"),
}
EXTRA: dict[str, Measure] = {
    "queries-postgresql": partial(million_images.measure, kind="PostgreSQL"),
    "pages-postgresql": partial(page_times.measure, kind="PostgreSQL"),
    "status": partial(status_time.measure, kind="SQLite"),
    "status-postgresql": partial(status_time.measure, kind="PostgreSQL"),
    "series": series_rate.measure,
    "night": partial(one_night.measure, kind="SQLite"),
    "night-postgresql": partial(one_night.measure, kind="PostgreSQL"),
    "ten-million": partial(large_record.measure, kind="SQLite"),
    "ten-million-postgresql": partial(large_record.measure, kind="PostgreSQL"),
}
"""Rows that are measured only with `--only`, because they take long: minutes of preparation, or half an hour."""
