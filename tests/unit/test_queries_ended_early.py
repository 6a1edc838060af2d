"""A query that is ended before its last row frees its connection on each Python, also while its iterator is kept."""

from pathlib import Path

from databases import NewSqlite
from ledger_driver import LedgerDriver, SettableClock, build_arrivals

from db import ledger, queries


def test_an_early_end_frees_the_connection(tmp_path: Path, new_sqlite: NewSqlite, clock: SettableClock) -> None:
    """On Python 3.12 a closed generator keeps what it looped over; that must not keep the connection."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        source_id = ledger.ensure_source(database, name="inbox", kind="folder", root="/inbox", now=clock())
        LedgerDriver(database=database, clock=clock, source_id=source_id).register(build_arrivals(3))

        stream = queries.images(database)
        assert next(stream)["image_id"] == 1
        stream.close()

        assert database.reader.pool.checkedout() == 0  # type: ignore[attr-defined]
