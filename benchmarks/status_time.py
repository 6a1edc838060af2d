"""Measure the processor time of `nightread status` in a database with a million images.

It includes everything that `status` and the API read, in this process and in the database server, but not the start of
the command. In the database, no image was analysed lately, and a thousand images wait. A first run is not counted.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

from api.status import take_status
from benchmarks.figures import Figure, Target
from benchmarks.filled_database import BEGAN, IMAGES_PER_HOUR, fill
from benchmarks.plan import Plan, scratch
from benchmarks.process_times import POSTGRES, cpu_seconds
from benchmarks.servers import MissingServerError, database_url_for
from db import schema
from db.engine import open_database
from nightread.nights import nights_of
from nightread.settings import load_settings

_TARGET = Target(at_most=300)
_RUNS = 7


def measure(plan: Plan, kind: str) -> Iterator[Figure]:
    """Measure the processor time of seven runs, in milliseconds."""
    images = plan.count(1_000_000, 20_000)
    try:
        with (
            scratch() as work_dir,
            database_url_for(kind) as url,
            closing(open_database(url or f"sqlite:///{work_dir / 'status.sqlite3'}")) as database,
        ):
            schema.upgrade(database)
            plan.log(f"filling the database with {images:,} images")
            fill(database, images)
            settings = load_settings(state_dir=work_dir, time_zone="UTC")
            now = BEGAN + timedelta(hours=images / IMAGES_PER_HOUR)
            runs = []
            for _ in range(_RUNS + 1):
                before = cpu_seconds()
                take_status(database, settings, nights_of(settings), now)
                runs.append({part: 1000 * (spent - before[part]) for part, spent in cpu_seconds().items()})
    except MissingServerError as missing:
        yield Figure(name=f"status, {kind}", note=str(missing))
        return
    values = tuple(sum(run.values()) for run in runs[1:])
    server = sorted(run.get(POSTGRES, 0.0) for run in runs[1:])[_RUNS // 2]
    yield Figure(
        name=f"status, processor time, {images:,} images, {kind}",
        values=values,
        unit="ms",
        target=_TARGET,
        note=f"of which the server {server:.0f} ms" if server else "",
    )
