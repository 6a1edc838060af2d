"""Measure how long the API takes for a picture of a 512x512 16-bit film, with one request at a time.

The requests pass through the whole application, but no socket. The rendering process is warm, and the file is in the
page cache.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient
from sqlalchemy import insert

from api.app import make_app
from api.context import ApiContext
from benchmarks.figures import Figure, Target
from benchmarks.plan import Plan, scratch
from benchmarks.workloads import WORKLOADS, write
from db import schema
from db.engine import open_database
from db.tables import State, instances, sources, work
from nightread.clock import utc_now
from nightread.content_digest import content_of
from nightread.nights import nights_of
from nightread.paths import root_text
from nightread.settings import load_settings

_TARGET = Target(at_most=50)
_WARM_UP = 5
Get = Callable[[str], int]


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure previews, and thumbnails from the cache. `--repeat` has no effect, as each request is a repetition."""
    count = plan.count(200, 3)
    with scratch() as folder, _client(folder) as get:
        size = get("preview.png")
        for name, path, target in (
            ("preview of a 512x512 16-bit film", "preview.png", _TARGET),
            ("preview in a viewport of 256", "preview.png?viewport=256,256", None),
            ("thumbnail from the cache", "thumbnail.png", None),
        ):
            values = _milliseconds(get, path, count)
            yield Figure(
                name=f"{name}, p50",
                values=(values[len(values) // 2],),
                unit="ms",
                target=target,
                note=f"{count} requests; p95 {values[len(values) * 95 // 100]:.1f} ms; a preview has {size:,} bytes",
                bound_by="reading and decoding, the table of the window, PNG compression",
            )


def _milliseconds(get: Get, path: str, count: int) -> list[float]:
    for _ in range(_WARM_UP):
        get(path)
    values = []
    for _ in range(count):
        began = time.perf_counter()
        get(path)
        values.append(1000 * (time.perf_counter() - began))
    return sorted(values)


@contextmanager
def _client(folder: Path) -> Iterator[Get]:
    """Yield a function that gets a picture of the only image and returns its size in bytes."""
    (film,) = write(WORKLOADS["ct"], folder / "inbox", 1)
    settings = load_settings(state_dir=folder)
    database = open_database(settings.sql_url)
    schema.upgrade(database)
    with database.writer.begin() as connection:
        now, root = utc_now(), root_text(film.parent)
        connection.execute(insert(sources).values(id=1, name="inbox", kind="folder", root=root, created_at=now))
        digest = content_of(film.read_bytes())
        image = {"uri": film.name, "uri_key": "0" * 32, "size": film.stat().st_size, "mtime_ns": 0, "content": digest}
        connection.execute(insert(instances).values(id=1, source_id=1, arrived_at=now, **image))
        counts = {"attempts": 1, "deaths": 0, "expiries": 0, "priority": 5, "alone": False, "shadow": False}
        connection.execute(insert(work).values(instance_id=1, ordinal=0, state=State.DONE, finished_at=now, **counts))
    context = ApiContext(settings=settings, database=database, nights=nights_of(settings))
    with TestClient(make_app(context), base_url="http://127.0.0.1:8080") as client:

        def get(path: str) -> int:
            response = client.get(f"/v1/images/1/{path}")
            response.raise_for_status()
            return len(response.content)

        yield get
    database.close()
