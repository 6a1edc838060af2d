"""Measure the filters of `nightread query` in a database with a million images.

The database is filled by bulk inserts: a hundred images per patient, fifty images per study, five modalities, some
findings, 2 % rejected, 0.5 % failed, and a thousand waiting images. Each filter runs as in `nightread query`, with a
limit of 100 rows; all rows are read. A first run is not counted.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import event

from benchmarks.figures import Figure, Target, median
from benchmarks.filled_database import BEGAN, IMAGES_PER_HOUR, fill, patient_key, series_uid, study_uid
from benchmarks.plan import Plan, scratch
from benchmarks.servers import MissingServerError, database_url_for
from db import queries, schema
from db.engine import Database, open_database
from db.queries import ImageFilter

_TARGET_MILLISECONDS = 50
_TARGET = Target(at_most=_TARGET_MILLISECONDS)
_LIMIT = 100
_RUNS = 7


def measure(plan: Plan, kind: str) -> Iterator[Figure]:
    """Measure each filter in seven runs, in milliseconds."""
    images = plan.count(1_000_000, 20_000)
    try:
        with (
            scratch() as work_dir,
            database_url_for(kind) as url,
            closing(open_database(url or f"sqlite:///{work_dir / 'million.sqlite3'}")) as database,
        ):
            schema.upgrade(database)
            plan.log(f"filling the database with {images:,} images")
            fill(database, images)
            yield from _figures(database, images, kind)
    except MissingServerError as missing:
        yield Figure(name=f"filters, {kind}", note=str(missing))


def _figures(database: Database, images: int, kind: str) -> Iterator[Figure]:
    for name, wanted in _filters(images).items():
        seconds, rows = _time(partial(_count, database, wanted))
        yield Figure(
            name=f"query {name}, {images:,} images, {kind}",
            values=seconds,
            unit="ms",
            target=_TARGET,
            note=f"{rows} rows",
            bound_by=_plan(database, wanted) if median(list(seconds)) > _TARGET_MILLISECONDS else "",
        )
    for name, ask in {"tally": queries.tally, "unfinished": queries.unfinished, "reasons": queries.reasons}.items():
        seconds, _ = _time(partial(ask, database))
        yield Figure(
            name=f"status: {name}, {images:,} images, {kind}", values=seconds, unit="ms", note="a count, no filter"
        )


def _count(database: Database, wanted: ImageFilter) -> int:
    return len(list(queries.images(database, wanted)))


def _plan(database: Database, wanted: ImageFilter) -> str:
    """Return the query plan of the database, which shows why the query takes long."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        asked.append((statement, parameters))

    event.listen(database.reader, "before_cursor_execute", note)
    _count(database, wanted)
    event.remove(database.reader, "before_cursor_execute", note)
    statement, parameters = next(each for each in reversed(asked) if each[0].startswith(("SELECT", "WITH")))
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    with database.read() as connection:
        steps = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
    return "query plan: " + "; ".join(str(step[-1]).strip() for step in steps)


def _time(ask: Callable[[], object]) -> tuple[tuple[float, ...], object]:
    result = ask()
    milliseconds = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        ask()
        milliseconds.append(1000 * (time.perf_counter() - began))
    return tuple(milliseconds), result


def _filters(images: int) -> dict[str, ImageFilter]:
    last_night = BEGAN + timedelta(hours=images // IMAGES_PER_HOUR - 12)
    middle = images // 2
    return {
        name: ImageFilter(limit=_LIMIT, **conditions)  # type: ignore[arg-type]
        for name, conditions in {
            "(nothing)": {},
            "--in-state failed": {"states": ("failed",)},
            "--in-state rejected --in-state failed": {"states": ("rejected", "failed")},
            "--in-state received": {"states": ("received",)},
            "--reason truncated": {"reasons": ("truncated",)},
            "--label nodule": {"labels": ("nodule",)},
            "--label nodule --min-score 0.99": {"labels": ("nodule",), "min_score": 0.99},
            "--label nodule --min-score 0.5": {"labels": ("nodule",), "min_score": 0.5},
            "--min-score 0.5": {"min_score": 0.5},
            "--label nodule --sort score": {"labels": ("nodule",), "sort": "score"},
            "--sort suspicion": {"sort": "suspicion"},
            "--sort finished": {"sort": "finished"},
            "--modality DX": {"modalities": ("DX",)},
            "--modality DX --label nodule": {"modalities": ("DX",), "labels": ("nodule",)},
            "--patient": {"patient_keys": (patient_key(middle),)},
            "--patient --label nodule": {"patient_keys": (patient_key(middle),), "labels": ("nodule",)},
            "--study": {"study_instance_uid": study_uid(middle)},
            "--series": {"series_instance_uid": series_uid(middle)},
            "--content": {"contents": (f"blake3:{middle:064x}",)},
            "--night last": {"since": last_night},
            "--night last --label nodule": {"since": last_night, "labels": ("nodule",)},
            "--night last --in-state failed": {"since": last_night, "states": ("failed",)},
            "--night last --sort suspicion": {"since": last_night, "sort": "suspicion"},
            "--source": {"sources": ("inbox",)},
            "--current": {"current": True},
            "--model bench@1": {"models": ("bench@1",)},
            "--model bench@2": {"models": ("bench@2",)},
            "--model bench": {"models": ("bench",)},
            "--manufacturer (rare)": {"manufacturers": ("Rare Devices",)},
            "--station (rare)": {"station_names": ("RARE1",)},
            "--station (single images)": {"station_names": ("SPARSE1",)},
            "--station A --station B": {"station_names": ("ROOM03", "ROOM07")},
            "--view MLO": {"view_positions": ("MLO",)},
            "--sort newest": {"sort": "newest"},
            "--in-state rejected --in-state failed --sort newest": {
                "states": ("rejected", "failed"),
                "sort": "newest",
            },
            "--night last --sort score": {"since": last_night, "sort": "score"},
            "--frames --patient": {"per_frame": True, "patient_keys": (patient_key(middle),)},
        }.items()
    }
