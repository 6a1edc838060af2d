"""What the ledger keeps of its sources, and of workers that come back."""

from night import Night, build_arrivals
from sqlalchemy import select

from db import ledger
from db.ledger import WorkerProcess
from db.tables import State, sources


def test_the_latest_report_of_a_watcher_is_kept_with_its_time(night: Night) -> None:
    """`status`, another process, reads what the watcher met last."""
    ledger.report_source(night.database, night.source_id, {"pending": 3}, now=night.clock())
    ledger.report_source(night.database, night.source_id, {"pending": 1}, now=night.clock.advance(seconds=5))

    with night.database.read() as connection:
        row = connection.execute(select(sources).where(sources.c.id == night.source_id)).one()
    assert (row.report, row.reported_at) == ({"pending": 1}, night.clock())


def test_a_worker_that_starts_again_need_not_wait_for_its_own_leases(night: Night) -> None:
    """The rows of an earlier start of the same node are swept at once; those of other nodes keep their leases."""
    night.register(build_arrivals(3))
    first, second, third = night.form(images=1)
    night.claim(first, process=WorkerProcess(node="w1", boot_id="before", index=0))
    night.claim(second, process=WorkerProcess(node="w2", boot_id="before", index=0))
    night.claim(third, process=WorkerProcess(node="w1", boot_id="now", index=0))

    ended = ledger.end_leases_of_earlier_starts(night.database, node="w1", boot_id="now", now=night.clock())

    assert ended == 1
    assert ledger.return_expired(night.database, now=night.clock.advance(seconds=1)) == 1
    assert night.states() == [State.RECEIVED, State.RUNNING, State.RUNNING]
