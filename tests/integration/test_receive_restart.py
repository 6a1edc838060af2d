"""A restarted C-STORE receiver registers complete files, and files are purged some days after their outcome."""

from contextlib import closing
from pathlib import Path

import pytest
from cstore_receiver import NAME, running_receiver
from dicom_peers import storescu
from ledger_driver import LedgerDriver, SettableClock
from servers import PostgresServer
from sqlalchemy import text

from db import ledger, queries
from db.engine import Database, open_database
from db.ledger import Arrival, Receipt
from db.tables import State
from nightread.errors import UsageFault
from nightread.reasons import Reason
from nightread.settings import Settings, load_settings
from producer.spool.purge import purge
from producer.spool.spool import Spool, spool_root

pytestmark = pytest.mark.servers


def test_a_start_registers_complete_files_and_removes_incomplete_ones(
    tmp_path: Path, database: Database, scan: Path
) -> None:
    """The receiver was killed between a complete file and its commit, and in the middle of a file."""
    with running_receiver(tmp_path, database) as receiver:
        assert storescu(receiver.port, scan).returncode == 0
        folder = receiver.files[0].parent
    (folder / "0123456789abcdef0123456789abcdef.dcm").write_bytes(scan.read_bytes())
    (folder / "fedcba9876543210fedcba9876543210.dcm.partial").write_bytes(b"half")
    with running_receiver(tmp_path, database) as receiver:
        assert receiver.notified.is_set()
        assert receiver.arrivals == sorted(str(file.relative_to(receiver.spool)) for file in receiver.files)
        assert len(receiver.arrivals) == 2


def test_a_start_ends_the_receipts_of_a_dead_receiver(tmp_path: Path, database: Database, clock: SettableClock) -> None:
    """An association cannot outlive its receiver."""
    _receive(database, _source(database, clock), clock, ended=False)
    with running_receiver(tmp_path, database) as receiver:
        assert [receipt.ended_at is None for receipt in receiver.associations] == [False]


def test_a_second_receiver_of_a_source_is_refused(tmp_path: Path, database: Database) -> None:
    """It would remove incomplete files of the first one as if that were dead."""
    with (
        running_receiver(tmp_path, database),
        pytest.raises(UsageFault, match="Another receiver of this source"),
        running_receiver(tmp_path, database),
    ):
        pass


def test_files_are_purged_some_days_after_their_outcome(
    tmp_path: Path, database: Database, clock: SettableClock
) -> None:
    """Good files after `spool_keep_days`, bad ones later, and unfinished or unregistered ones never."""
    settings = load_settings(state_dir=tmp_path, spool_keep_days=3, spool_keep_failed_days=14)
    spool, source_id = Spool(spool_root(settings, NAME), clock=clock), _source(database, clock)
    ledger_driver = LedgerDriver(database=database, clock=clock, source_id=source_id)
    good, failed, defective, unfinished, unknown = (_write_to_spool(spool) for _ in range(5))
    _finish(ledger_driver, good)
    _finish(ledger_driver, failed, state=State.FAILED, reason=Reason.MISSING_FILE)
    _finish(ledger_driver, defective, state=State.REJECTED, reason=Reason.TRUNCATED)
    ledger_driver.register([unfinished])
    kept = {arrival.uri for arrival in (failed, defective, unfinished, unknown)}
    assert _purge(database, spool, settings, source_id, clock, days=2.9) == 0
    assert _purge(database, spool, settings, source_id, clock, days=0.2) == 1
    assert _spooled_paths(spool) == kept
    assert _purge(database, spool, settings, source_id, clock, days=11) == 2
    assert _spooled_paths(spool) == {unfinished.uri, unknown.uri}


def test_a_receipt_counts_with_the_commit_of_its_images(database: Database, clock: SettableClock) -> None:
    """One transaction writes both, so that the sums agree after any crash."""
    source_id = _source(database, clock)
    for received in (1, 2):
        _receive(database, source_id, clock, received=received)
    (receipt,) = queries.associations(database)
    (sender,) = queries.senders([receipt])
    assert (receipt.received, sender.received, sender.associations, sender.open) == (2, 2, 1, 0)


def test_a_durable_sqlite_waits_for_the_disk(tmp_path: Path) -> None:
    """Each commit waits; without `durable`, a loss of power may lose the latest commits."""
    levels = {}
    for durable in (False, True):
        with closing(open_database(f"sqlite:///{tmp_path / 'x.sqlite3'}", durable=durable)) as database:
            levels[durable] = database.write(lambda connection: connection.execute(text("PRAGMA synchronous")).scalar())
    assert levels == {False: 1, True: 2}


def test_a_durable_postgresql_waits_for_the_disk(postgres_server: PostgresServer) -> None:
    """The session waits even if the server's default is off."""
    with (
        closing(open_database(postgres_server.url("postgres"), durable=True)) as database,
        database.read() as connection,
    ):
        assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"


def _source(database: Database, clock: SettableClock) -> int:
    return ledger.ensure_source(database, name=NAME, kind="receiver", root="/spool", now=clock())


def _receive(
    database: Database, source_id: int, clock: SettableClock, *, received: int = 1, ended: bool = True
) -> None:
    """Write a receipt with this number of images, as a receiver does."""
    receipt = Receipt(
        association="8c5bd2a8-6c39-4f1e-9f3b-0f3c3c1d2e4f",
        calling_ae="CT1",
        address="127.0.0.1",
        began_at=clock(),
        ended_at=clock() if ended else None,
        received=received,
        refused=0,
        failed=0,
        statuses={},
    )
    ledger.receive(database, source_id=source_id, arrivals=[], associations=[receipt], priority=5, now=clock())


def _write_to_spool(spool: Spool) -> Arrival:
    spool.root.mkdir(parents=True, exist_ok=True)
    incoming = spool.begin()
    incoming.write(b"some bytes")
    return incoming.complete()


def _finish(ledger_driver: LedgerDriver, arrival: Arrival, **outcome: object) -> None:
    ledger_driver.register([arrival])
    ledger_driver.analyse_all(**outcome)


def _purge(
    database: Database, spool: Spool, settings: Settings, source_id: int, clock: SettableClock, *, days: float
) -> int:
    return purge(database, spool, settings, source_id=source_id, now=clock.advance(days=days))


def _spooled_paths(spool: Spool) -> set[str]:
    return {path for paths in spool.files() for path in paths}
