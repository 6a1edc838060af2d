"""Random orders of slices, claims, deaths, late records and purges keep the rules of series."""

from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from databases import NewSqlite
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledger_driver import LedgerDriver, SettableClock
from series_driver import SeriesDriver
from servers import PostgresServer
from sqlalchemy import delete, select

from db import ledger, queries
from db.engine import Database
from db.ledger import ClaimedSeries, DueCause, FormedSeries, SeriesState
from db.series_tables import series
from db.tables import metadata
from worker.series.form import SeriesFormer

SERIES_UIDS = ("1.2.3.1", "1.2.3.2")
LEASE = timedelta(seconds=60)
UNCLAIMED = (SeriesState.COLLECTING, SeriesState.DUE, SeriesState.FORMED, SeriesState.FAILED)


class SeriesMachine(RuleBasedStateMachine):
    """Two series; processes that claim them, form them, die, and record too late."""

    database: ClassVar[Database]
    folder: ClassVar[Path]

    @initialize()
    def start(self) -> None:
        """Start with an empty ledger."""
        with self.database.writer.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        clock = SettableClock()
        source = ledger.ensure_source(self.database, name="inbox", kind="folder", root="/", now=clock())
        driver = LedgerDriver(database=self.database, clock=clock, source_id=source)
        self.series_driver = SeriesDriver(ledger_driver=driver, folder=self.folder)
        self.clock = clock
        self.slices: dict[str, list[int]] = {uid: [] for uid in SERIES_UIDS}
        self.held: list[ClaimedSeries] = []
        self.formed: list[FormedSeries] = []

    @rule(uid=st.sampled_from(SERIES_UIDS), score=st.sampled_from([0.125, 0.875]))
    def slice_comes(self, uid: str, score: float) -> None:
        """Record one more slice: its series collects again, whatever it did."""
        self.clock.advance(seconds=1)
        place = 5 * len(self.slices[uid])
        self.slices[uid] += self.series_driver.record([place], [score], series=uid)
        assert self.state_of(uid) == SeriesState.COLLECTING

    @rule()
    def become_due(self) -> None:
        """Let all series that collect be due."""
        listed = ledger.collecting_series(self.database, limit=9)
        assert ledger.mark_due(self.database, dict.fromkeys(listed, DueCause.QUIET)) == len(listed)

    @rule(most=st.integers(1, 2))
    def claim(self, most: int) -> None:
        """Claim series; nobody else gets them."""
        found = ledger.claim_series(self.database, most=most, lease=LEASE, now=self.clock())
        assert len(found) <= most
        self.held += found

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def form(self, data: st.DataObject) -> None:
        """Compute the results of a claimed series, which may be taken back by now."""
        claimed = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        formed = SeriesFormer(self.series_driver.context()).form(claimed)
        assert formed is not None
        self.formed.append(formed)

    @precondition(lambda self: self.formed)
    @rule(data=st.data())
    def record(self, data: st.DataObject) -> None:
        """Record results, perhaps too late: then nothing is written."""
        formed = self.formed.pop(data.draw(st.integers(0, len(self.formed) - 1)))
        claims = {row.series_instance_uid: row.claim for row in self.rows()}
        is_held = claims.get(formed.claimed.series_instance_uid) == formed.claimed.claim
        assert ledger.record_series(self.database, [formed], now=self.clock()) == is_held

    @rule(seconds=st.sampled_from([1, 61]))
    def sweep(self, seconds: int) -> None:
        """Take back series whose lease expired."""
        ledger.return_expired_series(self.database, now=self.clock.advance(seconds=seconds))

    @rule(uid=st.sampled_from(SERIES_UIDS))
    def purge(self, uid: str) -> None:
        """Purge the images of a series: nothing of it is left."""
        ledger.purge(self.database, self.slices[uid], cause="image", actor="ann", now=self.clock())
        purged, self.slices[uid] = self.slices[uid], []
        assert not purged or self.state_of(uid) is None

    @invariant()
    def a_claim_is_held_exactly_while_a_series_is_formed(self) -> None:
        """So is its lease."""
        for row in self.rows():
            assert (row.claim is not None) == (row.lease_until is not None) == (row.state == SeriesState.FORMING)
            assert row.state == SeriesState.FORMING or row.state in UNCLAIMED

    @invariant()
    def a_formed_series_has_the_result_of_its_slices(self) -> None:
        """All of them, and of no others."""
        for each in self.series_driver.results():
            if each.series_state == SeriesState.FORMED:
                (places,) = queries.places_of(self.database, each.series_instance_uid).values()
                assert [place[0] for place in places] == self.slices[each.series_instance_uid]

    def teardown(self) -> None:
        """Form everything: each series with slices has a result of all of them."""
        if not hasattr(self, "series_driver"):
            return
        ledger.return_expired_series(self.database, now=self.clock.advance(seconds=61))
        for uid, slices in self.slices.items():
            if slices:
                self.slice_comes(uid, 0.125)
        self.series_driver.form()
        found = {each.series_instance_uid: each.slices for each in self.series_driver.results()}
        assert found == {uid: len(slices) for uid, slices in self.slices.items() if slices}
        self.a_formed_series_has_the_result_of_its_slices()

    def rows(self) -> list[Any]:
        """Return the rows of `series`."""
        with self.database.read() as connection:
            return list(connection.execute(select(series).order_by(series.c.id)))

    def state_of(self, uid: str) -> str | None:
        """Return the state of a series; None if it is unknown."""
        return next((row.state for row in self.rows() if row.series_instance_uid == uid), None)


def check(database: Database, folder: Path, *, examples: int) -> None:
    """Run so many histories of up to forty steps."""
    machine = type("Machine", (SeriesMachine,), {"database": database, "folder": folder})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(400)
@pytest.mark.parametrize("histories", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_the_rules_hold_on_sqlite(new_sqlite: NewSqlite, tmp_path: Path, histories: int) -> None:
    """Each history has up to forty steps."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        check(database, tmp_path, examples=histories)


@pytest.mark.servers
@pytest.mark.timeout(400)
def test_the_rules_hold_on_postgresql(postgres_server: PostgresServer, tmp_path: Path) -> None:
    """The same check with fewer histories."""
    with postgres_server.database() as database:
        check(database, tmp_path, examples=5)
