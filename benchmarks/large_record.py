"""Compare the ledger in databases with ten million and ten thousand images: more images must not make it slower."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

from sqlalchemy import text

from benchmarks import ledger as steps
from benchmarks.figures import Figure, Target
from benchmarks.filled_database import fill
from benchmarks.plan import Plan, scratch
from benchmarks.servers import MissingServerError, database_url_for
from db import schema
from db.engine import Database, open_database

_TARGET = Target(at_most=1.1)
_IMAGES = 20_480


def measure(plan: Plan, kind: str) -> Iterator[Figure]:
    """Pass images through the two ledgers in turns, and compare the wall-clock time of each step."""
    large, small = plan.count(10_000_000, 20_000), plan.count(10_000, 2_000)
    images = plan.count(_IMAGES, 2_048)
    try:
        with ExitStack() as stack:
            ledgers = {rows: _filled(stack, plan, kind, rows) for rows in (small, large)}
            spent: dict[str, dict[int, list[float]]] = {}
            for turn in range(plan.repeat):
                for rows, database in ledgers.items():
                    timers = steps.measure(database, images, folder=f"turn{turn}")
                    for step, seconds in timers.wall.items():
                        spent.setdefault(step, {}).setdefault(rows, []).append(1e6 * seconds / images)
            yield from _figures(spent, small, large, kind)
    except MissingServerError as missing:
        yield Figure(name=f"ten million images, {kind}", note=str(missing))


def _figures(spent: dict[str, dict[int, list[float]]], small: int, large: int, kind: str) -> Iterator[Figure]:
    for step, by_rows in spent.items():
        pairs = list(zip(by_rows[large], by_rows[small], strict=True))
        yield Figure(
            name=f"{step}, {large:,} / {small:,} images in the database, {kind}",
            values=tuple(more / few for more, few in pairs),
            unit="x",
            target=_TARGET,
            note="us per image: " + ", ".join(f"{more:.1f} / {few:.1f}" for more, few in pairs),
        )


def _filled(stack: ExitStack, plan: Plan, kind: str, rows: int) -> Database:
    work_dir = stack.enter_context(scratch())
    url = stack.enter_context(database_url_for(kind))
    database = stack.enter_context(closing(open_database(url or f"sqlite:///{work_dir / 'large.sqlite3'}")))
    schema.upgrade(database)
    plan.log(f"filling the database with {rows:,} images")
    fill(database, rows, waiting=0)
    if not database.is_sqlite:
        database.write(lambda connection: connection.execute(_NEXT_IDS))  # `fill` did not use the sequences for its ids
    return database


_NEXT_IDS = text("""
    SELECT setval(pg_get_serial_sequence('instances', 'id'), (SELECT max(id) FROM instances)),
           setval(pg_get_serial_sequence('work', 'id'), (SELECT max(id) FROM work))
""")
