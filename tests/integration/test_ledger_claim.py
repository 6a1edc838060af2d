"""Rules 2, 3 and 5: who holds a batch, for how long, and what a dead process leaves."""

from dataclasses import replace
from datetime import timedelta

from ledger_driver import LEASE, LedgerDriver, build_arrivals, build_outcome

from db import ledger
from db.ledger.claims import DEATHS_ALLOWED
from db.tables import State
from nightread.reasons import Reason


def test_a_claim_hands_out_the_images_under_a_lease(ledger_driver: LedgerDriver) -> None:
    """Rule 2: queued becomes running, attempts count, the lease runs."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)

    assert [(image.attempts, image.first, image.alone, image.root) for image in images] == [
        (1, True, False, "/inbox")
    ] * 2
    assert {(row.state, row.lease_until) for row in ledger_driver.work()} == {
        (State.RUNNING, ledger_driver.clock() + LEASE)
    }


def test_a_second_delivery_claims_nothing(ledger_driver: LedgerDriver) -> None:
    """Rule 2: the same message again gets no image, while the first works and after it is done."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    assert ledger_driver.claim(batch) == []

    ledger_driver.record(batch, [build_outcome(image) for image in images])
    assert ledger_driver.claim(batch) == []
    assert [row.attempts for row in ledger_driver.work()] == [1, 1]


def test_an_empty_claim_closes_a_batch_that_lost_its_images(ledger_driver: LedgerDriver) -> None:
    """Rule 6: a batch whose only file changed while it was queued does not fill the window for ever."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])
    (batch,) = ledger_driver.form()
    ledger_driver.register([replace(arrival, size=9)])
    assert ledger_driver.open_batches() == [batch.id]

    assert ledger_driver.claim(batch) == []
    assert ledger_driver.open_batches() == []


def test_the_sweep_closes_a_batch_that_lost_its_images_and_its_message(ledger_driver: LedgerDriver) -> None:
    """Rule 6: nobody will claim it, and nothing in it would ever be missed."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])
    ledger_driver.form()
    ledger_driver.register([replace(arrival, size=9)])

    assert ledger.return_expired(ledger_driver.database, now=ledger_driver.clock()) == 0
    assert ledger_driver.open_batches() == []
    assert ledger_driver.states() == [State.RECEIVED]


def test_progress_renews_the_lease(ledger_driver: LedgerDriver) -> None:
    """Rule 3: a batch that is renewed in time is not swept, however long it takes."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    for _ in range(5):
        ledger_driver.clock.advance(seconds=50)
        assert ledger.renew(ledger_driver.database, batch.id, lease=LEASE, now=ledger_driver.clock()) == 2
        assert ledger.return_expired(ledger_driver.database, now=ledger_driver.clock()) == 0

    assert ledger_driver.record(batch, [build_outcome(image) for image in images]) == {"done": 2}


def test_a_batch_that_was_taken_cannot_be_renewed(ledger_driver: LedgerDriver) -> None:
    """Rule 3: the heartbeat of a worker that lost its lease says so."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    ledger_driver.claim(batch)
    ledger_driver.clock.advance(seconds=61)
    ledger.return_expired(ledger_driver.database, now=ledger_driver.clock())

    assert ledger.renew(ledger_driver.database, batch.id, lease=LEASE, now=ledger_driver.clock()) == 0


def test_a_late_record_after_the_lease_ran_out_writes_nothing(ledger_driver: LedgerDriver) -> None:
    """Rule 3: neither outcome nor facts nor predictions of a worker that came too late; its successor speaks."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    ledger_driver.clock.advance(seconds=61)
    ledger.return_expired(ledger_driver.database, now=ledger_driver.clock())
    (again,) = ledger_driver.form()
    (taken,) = ledger_driver.claim(again)

    assert ledger_driver.record(batch, [build_outcome(image)]) == {}
    assert (ledger_driver.states(), ledger_driver.predicted()) == ([State.RUNNING], [])
    assert ledger_driver.instances()[0].sha256 is None

    assert ledger_driver.record(again, [build_outcome(taken)]) == {"done": 1}
    assert ledger_driver.record(batch, [build_outcome(image, label="other")]) == {}
    assert [row.label for row in ledger_driver.work()] == ["normal"]


def test_a_late_record_after_a_give_back_writes_nothing(ledger_driver: LedgerDriver) -> None:
    """Rule 3: what a process said after its successor gave the batch back is not heard."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    assert ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=ledger_driver.clock()) == 1

    assert ledger_driver.record(batch, [build_outcome(image)]) == {}
    assert (ledger_driver.states(), ledger_driver.predicted()) == ([State.RECEIVED], [])


def test_predictions_are_written_for_rows_still_held_only(ledger_driver: LedgerDriver) -> None:
    """Rule 3: of a batch that lost one of its two images, one is recorded."""
    first, second = build_arrivals(2)
    ledger_driver.register([first, second])
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    ledger_driver.register([replace(first, size=9)])

    assert ledger_driver.record(batch, [build_outcome(image) for image in images]) == {"done": 1}
    assert ledger_driver.predicted() == [images[1].work_id]
    assert ledger_driver.states() == [State.RECEIVED, State.DONE]


def test_a_respawned_process_gives_back_what_its_predecessor_had(ledger_driver: LedgerDriver) -> None:
    """Rule 5: its rows are received and alone; those of other processes, nodes and starts stay where they are."""
    ledger_driver.register(build_arrivals(4))
    mine, *others = ledger_driver.form(images=1)
    ledger_driver.claim(mine)
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


def test_an_image_that_kills_its_process_fails_and_its_neighbours_are_done(ledger_driver: LedgerDriver) -> None:
    """Rule 5: after three deaths alone the image is failed(killed_worker); the innocent of its batch are done."""
    ledger_driver.register(build_arrivals(5))
    killer = ledger_driver.work()[2].id
    crashes = 0
    while batches := ledger_driver.form(count=1):
        images = ledger_driver.claim(batches[0])
        if killer in [image.work_id for image in images]:
            crashes += 1
            ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=ledger_driver.clock())
        else:
            ledger_driver.record(batches[0], [build_outcome(image) for image in images])

    assert crashes == 1 + DEATHS_ALLOWED
    assert ledger_driver.states() == [State.DONE, State.DONE, State.FAILED, State.DONE, State.DONE]
    failed = ledger_driver.work()[2]
    assert (failed.reason, failed.deaths, failed.finished_at) == (Reason.KILLED_WORKER, 3, ledger_driver.clock())
    assert ledger_driver.open_batches() == []


def test_the_neighbours_of_a_known_culprit_go_back_as_they_were(ledger_driver: LedgerDriver) -> None:
    """Rule 5: where the black box names the image, it alone travels alone; the others are one batch again."""
    ledger_driver.register(build_arrivals(3))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    work_in_flight = images[0].work_id

    given_back = ledger.requeue_predecessor(
        ledger_driver.database, ledger_driver.process, work_in_flight=work_in_flight, now=ledger_driver.clock()
    )

    assert given_back == 3
    assert [(row.state, row.alone, row.deaths) for row in ledger_driver.work()] == [
        (State.RECEIVED, True, 1),
        (State.RECEIVED, False, 0),
        (State.RECEIVED, False, 0),
    ]
    assert sorted(len(ledger_driver.claim(again)) for again in ledger_driver.form()) == [1, 2]


def test_a_known_culprit_that_was_alone_fails_at_its_third_death(ledger_driver: LedgerDriver) -> None:
    """Rule 5: the death among others counts too, since it is known whose it was."""
    ledger_driver.register(build_arrivals(2))
    killer = ledger_driver.work()[0].id
    for deaths in (1, 2, 3):
        batch = next(
            batch for batch in ledger_driver.form() if killer in [image.work_id for image in ledger_driver.claim(batch)]
        )
        ledger.requeue_batch(
            ledger_driver.database,
            batch.id,
            owner=ledger_driver.process,
            work_in_flight=killer,
            now=ledger_driver.clock(),
        )
        assert ledger_driver.work()[0].deaths == deaths
    assert (ledger_driver.work()[0].state, ledger_driver.work()[0].reason) == (State.FAILED, Reason.KILLED_WORKER)
    assert not ledger_driver.work()[1].alone


def test_a_culprit_that_is_not_in_the_batch_any_more_leaves_the_others_innocent(ledger_driver: LedgerDriver) -> None:
    """Rule 5: its file changed while it was read."""
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
    """Rule 5: other batches of the same process stay, and a second finder finds nothing."""
    ledger_driver.register(build_arrivals(2))
    one, other = ledger_driver.form(images=1)
    ledger_driver.claim(one)
    ledger_driver.claim(other)
    assert ledger.owner_of(ledger_driver.database, one.id) == ledger_driver.process
    for given_back in (1, 0):
        assert (
            ledger.requeue_batch(ledger_driver.database, one.id, owner=ledger_driver.process, now=ledger_driver.clock())
            == given_back
        )
    assert ledger_driver.states() == [State.RECEIVED, State.RUNNING]
    assert ledger.owner_of(ledger_driver.database, one.id) is None


def test_a_batch_is_given_back_for_its_owner_only(ledger_driver: LedgerDriver) -> None:
    """Rule 5: who is mistaken about the owner takes nothing away; neither does who comes after its successor."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    assert ledger.owner_of(ledger_driver.database, batch.id) is None
    ledger_driver.claim(batch)
    stranger = replace(ledger_driver.process, index=1)
    assert ledger.requeue_batch(ledger_driver.database, batch.id, owner=stranger, now=ledger_driver.clock()) == 0

    ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=ledger_driver.clock())
    (again,) = ledger_driver.form()
    ledger_driver.claim(again)  # by the successor, which lives
    assert (
        ledger.requeue_batch(ledger_driver.database, batch.id, owner=ledger_driver.process, now=ledger_driver.clock())
        == 0
    )
    assert ledger_driver.states() == [State.RUNNING]


def test_the_first_claim_begins_an_image_s_patience(ledger_driver: LedgerDriver) -> None:
    """Later claims leave it; a file that changed begins anew."""
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


def test_a_lease_is_a_duration_of_the_claim(ledger_driver: LedgerDriver) -> None:
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
