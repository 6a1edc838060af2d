"""Measure the pages of the API over a night of 100,000 images.

The database has two nights, each with 100,000 images in 2,000 studies. For each study of the last night it has the
expected number of images. Each page is requested from the application in this process, so that the time of network and
browser is not included. A first request of each page is not counted. After the measured requests, one more counts its
statements and the time until their first rows.
"""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Engine, event

from api.app import make_app
from api.context import ApiContext
from benchmarks.figures import Figure, Target
from benchmarks.filled_database import BEGAN, fill, study_uid
from benchmarks.plan import Plan, scratch
from benchmarks.servers import MissingServerError, database_url_for
from db import ledger, schema
from db.engine import Database, open_database
from db.ledger import Expected
from nightread.nights import nights_of
from nightread.settings import load_settings

_TARGET = Target(at_most=300)
_NIGHT_HOURS = 13
_IMAGES_PER_STUDY = 50
_RUNS = 7
_STEP = 24


def measure(plan: Plan, kind: str) -> Iterator[Figure]:
    """Measure each page in seven requests, in milliseconds."""
    images = plan.count(100_000, 5_000)
    try:
        with (
            scratch() as work_dir,
            database_url_for(kind) as url,
            closing(open_database(url or f"sqlite:///{work_dir / 'pages.sqlite3'}", durable=True)) as database,
        ):
            schema.upgrade(database)
            plan.log(f"filling the database with two nights of {images:,} images")
            per_hour = images // _NIGHT_HOURS
            fill(database, per_hour * (_STEP + _NIGHT_HOURS), per_hour=per_hour)
            _expect(database, per_hour)
            settings = load_settings(state_dir=work_dir, time_zone="UTC", night_start="18:00", night_end="07:00")
            now = BEGAN + timedelta(hours=_STEP + _NIGHT_HOURS)
            context = ApiContext(settings=settings, database=database, nights=nights_of(settings), clock=lambda: now)
            with TestClient(make_app(context), base_url="http://127.0.0.1") as client:
                yield from _figures(client, per_hour, f"{images:,} images in the night, {kind}")
    except MissingServerError as missing:
        yield Figure(name=f"pages, {kind}", note=str(missing))


def _expect(database: Database, per_hour: int) -> None:
    """Store the expected number of images of each study of the last night. Every hundredth study lacks one image."""
    first, last = (per_hour * hour // _IMAGES_PER_STUDY for hour in (_STEP, _STEP + _NIGHT_HOURS))
    rows = [
        Expected(
            study_instance_uid=study_uid(number * _IMAGES_PER_STUDY),
            source_id=1,
            reported_by="store",
            images=_IMAGES_PER_STUDY + (number % 100 == 0),
        )
        for number in range(first + 1, last)
    ]
    ledger.expect(database, rows, now=BEGAN + timedelta(hours=_STEP + 1))


def _figures(client: TestClient, per_hour: int, of_what: str) -> Iterator[Figure]:
    middle = per_hour * (_STEP + _NIGHT_HOURS // 2)
    night: date = (BEGAN + timedelta(hours=_STEP)).date()
    for path in (
        f"/nights/{night}",
        "/images",
        f"/images?night={night}&sort=suspicion",
        f"/images/{middle}",
        "/studies",
        f"/studies/{study_uid(middle)}",
        "/failures",
        "/batches",
        "/models",
    ):
        milliseconds = tuple(_time(client, path) for _ in range(_RUNS + 1))[1:]
        name = path.replace(str(night), "DATE").replace(study_uid(middle), "UID").replace(str(middle), "ID")
        with _statement_times() as times:
            _time(client, path)
        bound_by = f"{sum(times):.0f} ms of another request: {len(times)} statements until their first rows"
        yield Figure(name=f"page {name}, {of_what}", values=milliseconds, unit="ms", target=_TARGET, bound_by=bound_by)


@contextmanager
def _statement_times() -> Iterator[list[float]]:
    """Collect the milliseconds from the start of each statement to its first row."""
    times: list[float] = []

    def begin(connection: Any, *_: object) -> None:
        connection.info["began"] = time.perf_counter()

    def end(connection: Any, *_: object) -> None:
        times.append(1000 * (time.perf_counter() - connection.info["began"]))

    listeners = {"before_cursor_execute": begin, "after_cursor_execute": end}
    for name, listener in listeners.items():
        event.listen(Engine, name, listener)
    try:
        yield times
    finally:
        for name, listener in listeners.items():
            event.remove(Engine, name, listener)


def _time(client: TestClient, path: str) -> float:
    began = time.perf_counter()
    response = client.get(path)
    taken = 1000 * (time.perf_counter() - began)
    response.raise_for_status()
    return taken
