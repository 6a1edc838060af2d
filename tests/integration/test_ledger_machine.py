"""Random orders of arrivals, deliveries, crashes, sweeps and purges keep the invariants of the ledger."""

from pathlib import Path

import pytest
from databases import NewSqlite
from ledger_machine import check_machine
from servers import PostgresServer


@pytest.mark.timeout(400)  # hypothesis takes minutes to shrink a failure
@pytest.mark.parametrize("histories", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_the_invariants_hold_on_sqlite(new_sqlite: NewSqlite, tmp_path: Path, histories: int) -> None:
    """Each history has up to sixty steps."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        check_machine(database, examples=histories)


@pytest.mark.servers
@pytest.mark.timeout(400)
def test_the_invariants_hold_on_postgresql(postgres_server: PostgresServer) -> None:
    """The same check with fewer histories."""
    with postgres_server.database() as database:
        check_machine(database, examples=10)
