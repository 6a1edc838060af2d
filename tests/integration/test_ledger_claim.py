"""Rules 2, 3 and 5: claims, leases, and the images of dead processes."""

from dataclasses import replace
from datetime import timedelta

from ledger_driver import LEASE, LedgerDriver, build_arrivals, build_outcome

from db import ledger
from db.ledger.claims import DEATHS_ALLOWED
from db.tables import State
from nightread.reasons import Reason


def test_a_claim_returns_the_images_and_sets_a_lease(ledger_driver: LedgerDriver) -> None:
    """Rule 2: queued becomes running, the attempt counts, and the lease starts."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)

    assert [(image.attempts, image.alone, image.root) for image in images] == [(1, False, "/inbox")] * 2
    assert {(row.state, row.lease_until) for row in ledger_driver.work()} == {
        (State.RUNNING, ledger_driver.clock() + LEASE)
    }


def test_a_second_delivery_claims_nothing(ledger_driver: LedgerDriver) -> None:
    """Rule 2: the same message gets no image again, neither before nor after the batch is recorded."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    assert ledger_driver.claim(batch) == []

    ledger_driver.record(batch, [build_outcome(image) for image in images])
    assert ledger_driver.claim(batch) == []
    assert [row.attempts for row in ledger_driver.work()] == [1, 1]


def test_an_empty_claim_closes_a_batch_that_lost_its_images(ledger_driver: LedgerDriver) -> None:
    """Rule 2: a batch whose only file changed while it was queued does not stay open."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])
    (batch,) = ledger_driver.form()
    ledger_driver.register([replace(arrival, size=9)])
    assert ledger_driver.open_batches() == [batch.id]

    assert ledger_driver.claim(batch) == []
    assert ledger_driver.open_batches() == []


def test_the_sweep_closes_a_batch_that_lost_its_images_and_its_message(ledger_driver: LedgerDriver) -> None:
    """Rule 4: the sweep closes a batch without any image."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])
    ledger_driver.form()
    ledger_driver.register([replace(arrival, size=9)])

    assert ledger.return_expired(ledger_driver.database, now=ledger_driver.clock()) == 0
    assert ledger_driver.open_batches() == []
    assert ledger_driver.states() == [State.RECEIVED]


def test_progress_renews_the_lease(ledger_driver: LedgerDriver) -> None:
    """Rule 3: a batch whose lease is renewed in time is not swept, however long it takes."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    for _ in range(5):
        ledger_driver.clock.advance(seconds=50)
        assert ledger.renew(ledger_driver.database, batch.id, lease=LEASE, now=ledger_driver.clock()) == 2
        assert ledger.return_expired(ledger_driver.database, now=ledger_driver.clock()) == 0

    assert ledger_driver.record(batch, [build_outcome(image) for image in images]) == {"done": 2}


def test_a_batch_that_was_taken_back_cannot_be_renewed(ledger_driver: LedgerDriver) -> None:
    """Rule 3: a worker that lost its lease learns it from `renew`."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    ledger_driver.claim(batch)
    ledger_driver.clock.advance(seconds=61)
    ledger.return_expired(ledger_driver.database, now=ledger_driver.clock())

    assert ledger.renew(ledger_driver.database, batch.id, lease=LEASE, now=ledger_driver.clock()) == 0


def test_a_late_record_after_the_lease_expired_writes_nothing(ledger_driver: LedgerDriver) -> None:
    """Rule 3: it writes neither outcome nor facts nor predictions; the next batch records the image."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    ledger_driver.clock.advance(seconds=61)
    ledger.return_expired(ledger_driver.database, now=ledger_driver.clock())
    (again,) = ledger_driver.form()
    (taken,) = ledger_driver.claim(again)

    assert ledger_driver.record(batch, [build_outcome(image)]) == {}
    assert (ledger_driver.states(), ledger_driver.predicted()) == ([State.RUNNING], [])
    assert ledger_driver.instances()[0].content is None

    assert ledger_driver.record(again, [build_outcome(taken)]) == {"done": 1}
    assert ledger_driver.record(batch, [build_outcome(image, label="other")]) == {}
    assert [row.label for row in ledger_driver.work()] == ["normal"]


def test_a_late_record_after_a_requeue_writes_nothing(ledger_driver: LedgerDriver) -> None:
    """Rule 3: a process records nothing after its successor returned the batch."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    assert ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=ledger_driver.clock()) == 1

    assert ledger_driver.record(batch, [build_outcome(image)]) == {}
    assert (ledger_driver.states(), ledger_driver.predicted()) == ([State.RECEIVED], [])


def test_predictions_are_written_only_for_images_still_held(ledger_driver: LedgerDriver) -> None:
    """Rule 3: a batch lost one of its two images, and the other one is recorded."""
    first, second = build_arrivals(2)
    ledger_driver.register([first, second])
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    ledger_driver.register([replace(first, size=9)])

    assert ledger_driver.record(batch, [build_outcome(image) for image in images]) == {"done": 1}
    assert ledger_driver.predicted() == [images[1].work_id]
    assert ledger_driver.states() == [State.RECEIVED, State.DONE]


def test_a_respawned_process_requeues_the_images_of_its_predecessor(ledger_driver: LedgerDriver) -> None:
    """Rule 5: they are received and alone; images of other processes, nodes and starts stay running."""
    ledger_driver.register(build_arrivals(4))
    own_batch, *others = ledger_driver.form(images=1)
    ledger_driver.claim(own_batch)
    strangers = (
        replace(ledger_driver.process, index=1),
        replace(ledger_driver.process, node="w2"),
        replace(ledger_driver.process, boot_id="boot-0"),
    )
    for batch, stranger in zip(others, strangers, strict=True):
        ledger_driver.claim(batch, process=stranger)

    assert ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=ledger_driver.clock()) == 1

    assert [(row.state, row.alone) for row in ledger_driver.work()] == [
        (State.RECEIVED, True),
        *[(State.RUNNING, False)] * 3,
    ]
    assert ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=ledger_driver.clock()) == 0


def test_an_image_that_kills_its_process_fails_and_the_others_are_done(ledger_driver: LedgerDriver) -> None:
    """Rule 5: after three deaths alone the image is failed(killed_worker); the others are done."""
    ledger_driver.register(build_arrivals(5))
    killer_id = ledger_driver.work()[2].id
    crashes = 0
    while batches := ledger_driver.form(count=1):
        images = ledger_driver.claim(batches[0])
        if killer_id in [image.work_id for image in images]:
            crashes += 1
            ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=ledger_driver.clock())
        else:
            ledger_driver.record(batches[0], [build_outcome(image) for image in images])

    assert crashes == 1 + DEATHS_ALLOWED
    assert ledger_driver.states() == [State.DONE, State.DONE, State.FAILED, State.DONE, State.DONE]
    failed = ledger_driver.work()[2]
    assert (failed.reason, failed.deaths, failed.finished_at) == (Reason.KILLED_WORKER, 3, ledger_driver.clock())
    assert ledger_driver.open_batches() == []


def test_the_other_images_of_the_batch_go_back_as_they_were(ledger_driver: LedgerDriver) -> None:
    """Rule 5: if the in-flight table names an image, only that one is marked `alone`."""
    ledger_driver.register(build_arrivals(3))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    work_in_flight = images[0].work_id

    requeued = ledger.requeue_predecessor(
        ledger_driver.database, ledger_driver.process, work_in_flight=work_in_flight, now=ledger_driver.clock()
    )

    assert requeued == 3
    assert [(row.state, row.alone, row.deaths) for row in ledger_driver.work()] == [
        (State.RECEIVED, True, 1),
        (State.RECEIVED, False, 0),
        (State.RECEIVED, False, 0),
    ]
    assert [(row.batch_id, row.lease_until) for row in ledger_driver.work()] == [(None, None)] * 3
    assert sorted(len(ledger_driver.claim(again)) for again in ledger_driver.form()) == [1, 2]


def test_an_image_that_was_in_flight_fails_at_its_third_death(ledger_driver: LedgerDriver) -> None:
    """Rule 5: a death with other images in the batch counts too, because the image is known."""
    ledger_driver.register(build_arrivals(2))
    killer_id = ledger_driver.work()[0].id
    for deaths in (1, 2, 3):
        batch = next(
            batch
            for batch in ledger_driver.form()
            if killer_id in [image.work_id for image in ledger_driver.claim(batch)]
        )
        ledger.requeue_batch(
            ledger_driver.database,
            batch.id,
            owner=ledger_driver.process,
            work_in_flight=killer_id,
            now=ledger_driver.clock(),
        )
        assert ledger_driver.work()[0].deaths == deaths
    assert (ledger_driver.work()[0].state, ledger_driver.work()[0].reason) == (State.FAILED, Reason.KILLED_WORKER)
    assert not ledger_driver.work()[1].alone


def test_an_image_that_left_the_batch_does_not_make_the_others_travel_alone(ledger_driver: LedgerDriver) -> None:
    """Rule 5: the file of the image in flight changed while it was read."""
    first, second = build_arrivals(2)
    ledger_driver.register([first, second])
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    ledger_driver.register([replace(first, size=9)])
    ledger.requeue_predecessor(
        ledger_driver.database, ledger_driver.process, work_in_flight=images[0].work_id, now=ledger_driver.clock()
    )
    assert [(row.state, row.alone) for row in ledger_driver.work()] == [(State.RECEIVED, False)] * 2


def test_one_batch_of_a_dead_process_goes_back_once(ledger_driver: LedgerDriver) -> None:
    """Rule 5: other batches of the process stay, and a second call returns nothing."""
    ledger_driver.register(build_arrivals(2))
    one, other = ledger_driver.form(images=1)
    ledger_driver.claim(one)
    ledger_driver.claim(other)
    assert ledger.owner_of(ledger_driver.database, one.id) == ledger_driver.process
    for requeued in (1, 0):
        assert (
            ledger.requeue_batch(ledger_driver.database, one.id, owner=ledger_driver.process, now=ledger_driver.clock())
            == requeued
        )
    assert ledger_driver.states() == [State.RECEIVED, State.RUNNING]
    assert ledger.owner_of(ledger_driver.database, one.id) is None


def test_a_batch_is_requeued_for_its_owner_only(ledger_driver: LedgerDriver) -> None:
    """Rule 5: a call with another owner, or after the successor's call, takes nothing back."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    assert ledger.owner_of(ledger_driver.database, batch.id) is None
    ledger_driver.claim(batch)
    stranger = replace(ledger_driver.process, index=1)
    assert ledger.requeue_batch(ledger_driver.database, batch.id, owner=stranger, now=ledger_driver.clock()) == 0

    ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=ledger_driver.clock())
    (again,) = ledger_driver.form()
    ledger_driver.claim(again)  # by the successor, which is alive
    assert (
        ledger.requeue_batch(ledger_driver.database, batch.id, owner=ledger_driver.process, now=ledger_driver.clock())
        == 0
    )
    assert ledger_driver.states() == [State.RUNNING]


def test_the_first_claim_starts_the_retry_time_of_an_image(ledger_driver: LedgerDriver) -> None:
    """Later claims do not change it; a changed file starts it again."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])
    began = ledger_driver.clock()
    for _ in range(2):
        (batch,) = ledger_driver.form()
        (image,) = ledger_driver.claim(batch)
        assert (image.tried_since, image.arrived_at, image.marked) == (began, began, False)
        ledger.requeue_predecessor(
            ledger_driver.database, ledger_driver.process, now=ledger_driver.clock.advance(hours=1)
        )
    ledger_driver.register([replace(arrival, size=9)])
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    assert (image.tried_since, image.arrived_at) == (ledger_driver.clock(), began)


def test_each_claim_has_its_own_lease(ledger_driver: LedgerDriver) -> None:
    """A claim with a longer lease is swept later."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    ledger.claim(
        ledger_driver.database,
        batch.id,
        process=ledger_driver.process,
        lease=timedelta(hours=1),
        now=ledger_driver.clock(),
    )

    assert ledger.return_expired(ledger_driver.database, now=ledger_driver.clock.advance(minutes=59)) == 0
    assert ledger.return_expired(ledger_driver.database, now=ledger_driver.clock.advance(minutes=2)) == 1
