"""Reports of sources are stored, and a restarted worker ends its earlier leases."""

from ledger_driver import LedgerDriver, build_arrivals
from sqlalchemy import select

from db import ledger
from db.ledger import WorkerProcess
from db.tables import State, sources


def test_the_latest_report_of_a_watcher_is_kept_with_its_time(ledger_driver: LedgerDriver) -> None:
    """`nightread status` is another process and reads the report from the database."""
    ledger.report_source(ledger_driver.database, ledger_driver.source_id, {"pending": 3}, now=ledger_driver.clock())
    ledger.report_source(
        ledger_driver.database, ledger_driver.source_id, {"pending": 1}, now=ledger_driver.clock.advance(seconds=5)
    )

    with ledger_driver.database.read() as connection:
        row = connection.execute(select(sources).where(sources.c.id == ledger_driver.source_id)).one()
    assert (row.report, row.reported_at) == ({"pending": 1}, ledger_driver.clock())


def test_a_worker_that_starts_again_ends_the_leases_of_its_earlier_starts(ledger_driver: LedgerDriver) -> None:
    """Images of earlier starts of the node are swept at once; those of other nodes keep their leases."""
    ledger_driver.register(build_arrivals(3))
    first, second, third = ledger_driver.form(images=1)
    ledger_driver.claim(first, process=WorkerProcess(node="w1", boot_id="before", index=0))
    ledger_driver.claim(second, process=WorkerProcess(node="w2", boot_id="before", index=0))
    ledger_driver.claim(third, process=WorkerProcess(node="w1", boot_id="now", index=0))

    ended = ledger.expire_leases_of_previous_starts(
        ledger_driver.database, node="w1", boot_id="now", now=ledger_driver.clock()
    )

    assert ended == 1
    assert ledger.return_expired(ledger_driver.database, now=ledger_driver.clock.advance(seconds=1)) == 1
    assert ledger_driver.states() == [State.RECEIVED, State.RUNNING, State.RUNNING]


def test_a_source_has_the_group_of_its_latest_start(ledger_driver: LedgerDriver) -> None:
    """Its root stays the same; the group of another source stays too."""
    database, now = ledger_driver.database, ledger_driver.clock()
    groups = []
    for group in (None, "radiology", "wards", None):
        ledger.ensure_source(database, name="ct", kind="folder", root="/ct", trust=group, now=now)
        ledger.ensure_source(database, name="mr", kind="folder", root="/mr", trust="radiology", now=now)
        with database.read() as connection:
            groups.append(connection.execute(select(sources.c.trust).order_by(sources.c.id)).scalars().all())
    assert groups == [[None, group, "radiology"] for group in (None, "radiology", "wards", None)]
