"""Rules 1 and 6: batches are formed and counted in the ledger."""

from datetime import timedelta

from ledger_driver import LedgerDriver, build_arrivals, build_outcome

from db import ledger
from db.tables import State


def test_a_batch_is_committed_before_it_is_published(ledger_driver: LedgerDriver) -> None:
    """Rule 1: formed images are queued with the id of their batch and are not formed again."""
    ledger_driver.register(build_arrivals(3))
    (batch,) = ledger_driver.form()

    assert batch.images == 3
    assert {(row.state, row.batch_id) for row in ledger_driver.work()} == {(State.QUEUED, batch.id)}
    assert ledger_driver.form() == []


def test_a_batch_that_could_not_be_published_is_received_again(ledger_driver: LedgerDriver) -> None:
    """Rule 1: if publishing fails, the batch is closed and its images go into another batch."""
    ledger_driver.register(build_arrivals(2))
    (lost,) = ledger_driver.form()

    ledger.return_unpublished(ledger_driver.database, lost.id, now=ledger_driver.clock())

    assert ledger_driver.states() == [State.RECEIVED] * 2
    assert ledger_driver.open_batches() == []
    (again,) = ledger_driver.form()
    assert ledger_driver.claim(lost) == []
    assert ledger_driver.analyse(again) == {"done": 2}


def test_a_batch_that_was_claimed_despite_a_publish_error_stays_claimed(ledger_driver: LedgerDriver) -> None:
    """Rule 1: a batch that a worker claimed keeps its images and stays open."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    claimed = ledger_driver.claim(batch)

    ledger.return_unpublished(ledger_driver.database, batch.id, now=ledger_driver.clock())

    assert ledger_driver.states() == [State.RUNNING]
    assert ledger_driver.open_batches() == [batch.id]
    assert ledger_driver.record(batch, [build_outcome(image) for image in claimed]) == {"done": 1}


def test_urgent_work_goes_first_and_old_work_before_new(ledger_driver: LedgerDriver) -> None:
    """Batches are filled by priority, then by age; urgent images have batches of their own."""
    ledger_driver.register(build_arrivals(2), priority=5)
    ledger_driver.register(build_arrivals(2), priority=0)

    batches = ledger_driver.form(images=3)

    assert [[image.work_id for image in ledger_driver.claim(batch)] for batch in batches] == [[3, 4], [1, 2]]


def test_batches_keep_to_their_limits(ledger_driver: LedgerDriver) -> None:
    """No batch exceeds the limits of images and bytes, except for one image that is larger by itself."""
    ledger_driver.register(build_arrivals(3, size=400))
    ledger_driver.register(build_arrivals(1, size=5000))
    ledger_driver.register(build_arrivals(3, size=10))

    assert [batch.images for batch in ledger_driver.form(images=2, max_bytes=1000)] == [2, 1, 1, 2, 1]


def test_no_more_batches_than_requested(ledger_driver: LedgerDriver) -> None:
    """The other images stay received."""
    ledger_driver.register(build_arrivals(7))

    assert len(ledger_driver.form(count=2, images=2)) == 2
    assert ledger_driver.states().count(State.RECEIVED) == 3
    assert ledger_driver.form(count=0) == []


def test_an_image_is_not_dispatched_before_its_not_before(ledger_driver: LedgerDriver) -> None:
    """It is dispatched as soon as that time is reached."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(state=State.RECEIVED, not_before=ledger_driver.clock() + timedelta(seconds=30))

    assert ledger_driver.form() == []
    assert ledger.queue_status(ledger_driver.database, images=10, now=ledger_driver.clock()).ready == 0
    ledger_driver.clock.advance(seconds=30)
    assert ledger.queue_status(ledger_driver.database, images=10, now=ledger_driver.clock()).ready == 1
    assert ledger_driver.analyse_all() == {"done": 1}


def test_work_marked_alone_travels_in_a_batch_of_one(ledger_driver: LedgerDriver) -> None:
    """Rule 5: such an image gets its own batch, at any place in the order."""
    ledger_driver.register(build_arrivals(4))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    second = images[1].work_id
    outcomes = [build_outcome(image, state=State.RECEIVED, alone=image.work_id == second) for image in images]
    ledger_driver.record(batch, outcomes)

    assert [batch.images for batch in ledger_driver.form()] == [1, 1, 2]


def test_the_window_counts_batches_and_slots_in_the_ledger(ledger_driver: LedgerDriver) -> None:
    """Rule 6: the status counts batches by state, ready images up to the window, and live slots."""
    now = ledger_driver.clock()
    for node, slots in (("w1", 2), ("w2", 3)):
        ledger.heartbeat(
            ledger_driver.database, node=node, boot_id="b", slots=slots, device="cpu", release="1", now=now
        )
    ledger_driver.register(build_arrivals(8))
    first, second, _third = ledger_driver.form(count=3, images=2)
    ledger_driver.analyse(first)
    ledger_driver.claim(second)

    queue_status = ledger.queue_status(ledger_driver.database, images=100, now=now)
    assert (queue_status.ready, queue_status.waiting, queue_status.running, queue_status.slots) == (2, 1, 1, 5)
    assert queue_status.idle_slots == 3
    assert queue_status.free_places == 9
    ledger_driver.register(build_arrivals(20))
    assert ledger.queue_status(ledger_driver.database, images=2, now=now).ready == 20

    ledger_driver.clock.advance(seconds=40)
    ledger.heartbeat(
        ledger_driver.database, node="w2", boot_id="b", slots=3, device="cpu", release="1", now=ledger_driver.clock()
    )
    ledger_driver.clock.advance(seconds=40)
    assert ledger.queue_status(ledger_driver.database, images=1, now=ledger_driver.clock()).slots == 3
    ledger.deregister(ledger_driver.database, node="w2", boot_id="b")
    assert ledger.queue_status(ledger_driver.database, images=1, now=ledger_driver.clock()).slots == 0


def test_a_worker_that_started_again_replaces_its_row(ledger_driver: LedgerDriver) -> None:
    """Slots of its earlier start do not count, and a late deregistration of that start changes nothing."""
    for boot_id, slots in (("old", 8), ("new", 2)):
        ledger.heartbeat(
            ledger_driver.database,
            node="w1",
            boot_id=boot_id,
            slots=slots,
            device="cpu",
            release="1",
            now=ledger_driver.clock(),
        )
    ledger.deregister(ledger_driver.database, node="w1", boot_id="old")

    assert ledger.queue_status(ledger_driver.database, images=1, now=ledger_driver.clock()).slots == 2
