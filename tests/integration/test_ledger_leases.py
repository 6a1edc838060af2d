"""Claims, leases and dead processes change exactly the images and batches that they name."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ledger_driver import LEASE, LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import select

from db import ledger
from db.ledger import Batch, WorkerProcess
from db.tables import State, batches


def row_of(ledger_driver: LedgerDriver, batch: Batch) -> Any:
    """Return the row of a batch."""
    with ledger_driver.database.read() as connection:
        return connection.execute(select(batches).where(batches.c.id == batch.id)).one()


def test_a_claim_names_its_process_in_the_batch(ledger_driver: LedgerDriver) -> None:
    """A batch that was not claimed has no owner, and one that is recorded has none either."""
    ledger_driver.register(build_arrivals(2))
    first, second = ledger_driver.form(images=1)
    process = WorkerProcess(node="w7", boot_id="boot-9", index=3)
    images = ledger_driver.claim(first, process=process)
    row = row_of(ledger_driver, first)
    assert (row.claimed_at, row.node, row.boot_id, row.process_index) == (ledger_driver.clock(), "w7", "boot-9", 3)
    assert row_of(ledger_driver, second).claimed_at is None
    assert ledger.owner_of(ledger_driver.database, first.id) == process
    assert ledger.owner_of(ledger_driver.database, second.id) is None
    ledger_driver.record(first, [build_outcome(image) for image in images])
    assert ledger.owner_of(ledger_driver.database, first.id) is None


def test_an_empty_claim_closes_only_its_own_unclaimed_batch(ledger_driver: LedgerDriver) -> None:
    """Neither another batch, nor one that a worker holds, nor the end of a finished one is changed."""
    one, two = build_arrivals(2)
    ledger_driver.register([one, two])
    first, second = ledger_driver.form(images=1)
    ledger_driver.claim(first)
    ledger_driver.register([replace(one, size=9), replace(two, size=9)])
    assert ledger_driver.claim(first) == []
    assert row_of(ledger_driver, first).finished_at is None
    assert row_of(ledger_driver, second).finished_at is None
    ended = ledger_driver.clock.advance(seconds=1)
    assert ledger_driver.claim(second) == []
    assert (row_of(ledger_driver, first).finished_at, row_of(ledger_driver, second).finished_at) == (None, ended)
    ledger_driver.clock.advance(seconds=1)
    assert ledger_driver.claim(second) == []
    assert row_of(ledger_driver, second).finished_at == ended


def test_a_lease_is_renewed_for_one_batch_and_only_while_it_is_held(ledger_driver: LedgerDriver) -> None:
    """The other batch keeps its lease, and a recorded image gets none."""
    ledger_driver.register(build_arrivals(3))
    first, second = ledger_driver.form(images=2)
    images = ledger_driver.claim(first)
    ledger_driver.claim(second)
    began = ledger_driver.clock()
    ledger_driver.record(first, [build_outcome(image) for image in images[:1]])
    now = ledger_driver.clock.advance(seconds=30)
    assert ledger.renew(ledger_driver.database, second.id, lease=LEASE, now=now) == 1
    assert [row.lease_until for row in ledger_driver.work()] == [None, began + LEASE, now + LEASE]
    assert ledger.renew(ledger_driver.database, first.id, lease=LEASE, now=now) == 1
    assert [row.lease_until for row in ledger_driver.work()] == [None, now + LEASE, now + LEASE]


def test_an_image_that_killed_its_process_keeps_its_batch_and_says_why(ledger_driver: LedgerDriver) -> None:
    """The row is final like one that a worker recorded."""
    ledger_driver.register(build_arrivals(1))
    for _ in range(4):
        (batch,) = ledger_driver.form()
        ledger_driver.claim(batch)
        now = ledger_driver.clock.advance(seconds=1)
        ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=now)
    (row,) = ledger_driver.work()
    assert (row.state, row.batch_id, row.finished_at, row.lease_until) == (State.FAILED, batch.id, now, None)
    assert row.detail == "The worker process died 3 times while it worked on this image."
    assert row_of(ledger_driver, batch).finished_at == now


def test_a_dead_process_gives_back_what_it_held_and_not_what_it_recorded(ledger_driver: LedgerDriver) -> None:
    """Its first batch is done. Of the second one an image left, because its file changed."""
    arrivals = build_arrivals(3)
    ledger_driver.register(arrivals)
    first, second = ledger_driver.form(images=1, count=1)[0], ledger_driver.form(images=2)[0]
    ledger_driver.analyse(first)
    recorded = row_of(ledger_driver, first).finished_at
    ledger_driver.claim(second)
    ledger_driver.register([replace(arrivals[1], size=9)])
    now = ledger_driver.clock.advance(seconds=1)
    assert ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=now) == 1
    assert [(row.state, row.alone) for row in ledger_driver.work()] == [
        (State.DONE, False),
        (State.RECEIVED, False),
        (State.RECEIVED, True),
    ]
    assert (row_of(ledger_driver, first).finished_at, row_of(ledger_driver, second).finished_at) == (recorded, now)


def test_the_start_of_a_worker_ends_only_leases_of_images_that_it_held_before(ledger_driver: LedgerDriver) -> None:
    """A batch that an earlier start recorded, and a batch that nobody claimed, have no leases to end."""
    ledger_driver.register(build_arrivals(3))
    recorded, held, unclaimed = ledger_driver.form(images=1)
    before = WorkerProcess(node="w1", boot_id="before", index=0)
    images = ledger_driver.claim(recorded, process=before)
    ledger_driver.record(recorded, [build_outcome(image) for image in images])
    ledger_driver.claim(held, process=before)
    now = ledger_driver.clock.advance(seconds=5)
    assert ledger.expire_leases_of_previous_starts(ledger_driver.database, node="w1", boot_id="now", now=now) == 1
    assert [row.lease_until for row in ledger_driver.work()] == [None, now, None]
    assert row_of(ledger_driver, unclaimed).finished_at is None


def test_an_image_that_was_left_out_of_a_record_keeps_its_lease(ledger_driver: LedgerDriver) -> None:
    """Its batch is closed, so it waits for the end of the lease even if its worker starts again."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    recorded, _left = ledger_driver.claim(batch)
    until = ledger_driver.clock() + LEASE
    ledger_driver.record(batch, [build_outcome(recorded)])
    now = ledger_driver.clock.advance(seconds=5)
    assert ledger.expire_leases_of_previous_starts(ledger_driver.database, node="w1", boot_id="now", now=now) == 0
    assert ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=now) == 0
    assert [row.lease_until for row in ledger_driver.work()] == [None, until]


def test_an_unclaimed_batch_has_no_lease_to_renew(ledger_driver: LedgerDriver) -> None:
    """Its images are queued; another batch that is claimed is not touched either."""
    ledger_driver.register(build_arrivals(2))
    unclaimed, claimed = ledger_driver.form(images=1)
    ledger_driver.claim(claimed)
    until = ledger_driver.clock() + LEASE
    now = ledger_driver.clock.advance(seconds=5)
    assert ledger.renew(ledger_driver.database, unclaimed.id, lease=LEASE, now=now) == 0
    assert [row.lease_until for row in ledger_driver.work()] == [None, until]


@pytest.mark.parametrize(("seconds", "returned"), [(60, 0), (61, 1)])
def test_a_lease_has_expired_after_its_end(ledger_driver: LedgerDriver, seconds: int, returned: int) -> None:
    """At its very end it is still valid."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    ledger_driver.claim(batch)
    now = ledger_driver.clock.advance(seconds=seconds)
    assert ledger.return_expired(ledger_driver.database, now=now) == returned


def test_an_image_that_expired_ten_times_keeps_its_batch_and_says_why(ledger_driver: LedgerDriver) -> None:
    """Before the tenth time it has no reason, and no end."""
    ledger_driver.register(build_arrivals(1))
    for number in range(1, 11):
        (batch,) = ledger_driver.form()
        ledger_driver.claim(batch)
        now = ledger_driver.clock.advance(seconds=61)
        assert ledger.return_expired(ledger_driver.database, now=now) == 1
        (row,) = ledger_driver.work()
        assert row.expiries == number
        if number < 10:
            assert (row.state, row.reason, row.detail, row.finished_at) == (State.RECEIVED, None, None, None)
            assert row.batch_id is None
    assert (row.state, row.batch_id, row.finished_at) == (State.FAILED, batch.id, now)
    assert row.detail == (
        "The lease of this image expired 10 times: each time its worker stopped before it recorded an outcome."
    )


def test_open_batches_may_be_listed_by_age(ledger_driver: LedgerDriver) -> None:
    """Claimed and finished ones are not listed, and `created_before` leaves out the younger ones."""
    ledger_driver.register(build_arrivals(4))
    old, claimed, finished = ledger_driver.form(images=1, count=3)
    ledger_driver.claim(claimed)
    ledger_driver.analyse(finished)
    border = ledger_driver.clock.advance(seconds=10)
    (young,) = ledger_driver.form()
    assert set(ledger.open_batches(ledger_driver.database)) == {old.id, young.id}
    assert ledger.open_batches(ledger_driver.database, created_before=border) == [old.id]
    assert ledger.return_batches(ledger_driver.database, [], now=border) == 0
    assert ledger.return_batches(ledger_driver.database, [old.id], now=border) == 1
    assert row_of(ledger_driver, old).finished_at == border
    assert row_of(ledger_driver, young).finished_at is None
    assert ledger_driver.states() == [State.RECEIVED, State.RUNNING, State.DONE, State.QUEUED]


def test_a_batch_is_overtaken_by_a_later_one_only(ledger_driver: LedgerDriver) -> None:
    """A batch of the same moment that was claimed an hour ago says nothing; a later one does after 60 s."""
    ledger_driver.register(build_arrivals(2))
    lost, same = ledger_driver.form(images=1)
    ledger_driver.claim(same)
    now = ledger_driver.clock.advance(hours=1)
    ledger.renew(ledger_driver.database, same.id, lease=timedelta(days=1), now=now)
    assert ledger.return_overtaken(ledger_driver.database, now=now) == 0
    ledger_driver.register(build_arrivals(1))
    (later,) = ledger_driver.form()
    ledger_driver.claim(later)
    assert ledger.return_overtaken(ledger_driver.database, now=ledger_driver.clock.advance(seconds=60)) == 0
    assert ledger.return_overtaken(ledger_driver.database, now=ledger_driver.clock.advance(seconds=1)) == 1
    assert ledger_driver.states() == [State.RECEIVED, State.RUNNING, State.RUNNING]
    assert row_of(ledger_driver, lost).finished_at == ledger_driver.clock()


def test_a_batch_that_ended_unclaimed_is_not_overtaken(ledger_driver: LedgerDriver) -> None:
    """It could not be published; it keeps its end, and its image goes into the later batch."""
    ledger_driver.register(build_arrivals(1))
    (lost,) = ledger_driver.form()
    ended = ledger_driver.clock.advance(seconds=1)
    ledger.return_unpublished(ledger_driver.database, lost.id, now=ended)
    (later,) = ledger_driver.form()
    ledger_driver.claim(later)
    now = ledger_driver.clock.advance(minutes=5)
    assert ledger.return_overtaken(ledger_driver.database, now=now) == 0
    assert row_of(ledger_driver, lost).finished_at == ended


def test_a_start_closes_open_batches_and_no_finished_one(ledger_driver: LedgerDriver) -> None:
    """The end of a batch that was recorded before stays, and its image too."""
    ledger_driver.register(build_arrivals(3))
    recorded, held, waiting = ledger_driver.form(images=1)
    ledger_driver.analyse(recorded)
    before = ledger_driver.clock()
    ledger_driver.claim(held)
    now = ledger_driver.clock.advance(hours=1)
    assert ledger.reset_unfinished(ledger_driver.database, now=now) == 2
    assert [row_of(ledger_driver, batch).finished_at for batch in (recorded, held, waiting)] == [before, now, now]
    assert [(row.state, row.batch_id, row.lease_until) for row in ledger_driver.work()] == [
        (State.DONE, recorded.id, None),
        (State.RECEIVED, None, None),
        (State.RECEIVED, None, None),
    ]
