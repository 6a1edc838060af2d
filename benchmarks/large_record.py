"""Compare the ledger in databases with ten million and ten thousand images: more images must not make it slower."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import psutil
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
            turns: dict[int, list[_Timers]] = {small: [], large: []}
            for turn in range(plan.repeat):
                for rows, database in ledgers.items():
                    turns[rows].append(_Timers())
                    steps.measure(database, images, turns[rows][-1], folder=f"turn{turn}")
            yield from _figures(turns, images, kind)
    except MissingServerError as missing:
        yield Figure(name=f"ten million images, {kind}", note=str(missing))


class _Timers(steps.Timers):
    """Also counts the bytes that this process writes, which are those of the database if it is SQLite's."""

    def __init__(self) -> None:
        super().__init__()
        self.written: defaultdict[str, int] = defaultdict(int)

    def time(self, name: str, operation: Callable[[], steps.T]) -> steps.T:
        """Run the operation, and add its time and its bytes to `name`."""
        before = psutil.Process().io_counters().write_chars
        result = super().time(name, operation)
        self.written[name] += psutil.Process().io_counters().write_chars - before
        return result


def _figures(turns: dict[int, list[_Timers]], images: int, kind: str) -> Iterator[Figure]:
    small, large = turns
    pairs = list(zip(turns[large], turns[small], strict=True))
    for step in pairs[0][0].wall:
        microseconds = [tuple(1e6 * each.wall[step] / images for each in pair) for pair in pairs]
        kilobytes = [tuple(each.written[step] / images / 1000 for each in pair) for pair in pairs]
        written = "; kB written per image: " + _joined(kilobytes) if kind == "SQLite" else ""
        yield Figure(
            name=f"{step}, {large:,} / {small:,} images in the database, {kind}",
            values=tuple(more / few for more, few in microseconds),
            unit="x",
            target=_TARGET,
            note=f"us per image: {_joined(microseconds)}{written}",
        )


def _joined(pairs: list[tuple[float, ...]]) -> str:
    return ", ".join(f"{more:.1f} / {few:.1f}" for more, few in pairs)


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
