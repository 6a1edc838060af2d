"""Rules 2, 3 and 5: who holds a batch, for how long, and what a dead process leaves."""

from dataclasses import replace
from datetime import timedelta

from night import LEASE, Night, build_arrivals, build_outcome

from db import ledger
from db.ledger.claims import DEATHS_ALLOWED
from db.tables import State
from nightread.reasons import Reason


def test_a_claim_hands_out_the_images_under_a_lease(night: Night) -> None:
    """Rule 2: queued becomes running, attempts count, the lease runs."""
    night.register(build_arrivals(2))
    (batch,) = night.form()
    images = night.claim(batch)

    assert [(image.attempts, image.first, image.alone, image.root) for image in images] == [
        (1, True, False, "/inbox")
    ] * 2
    assert {(row.state, row.lease_until) for row in night.work()} == {(State.RUNNING, night.clock() + LEASE)}


def test_a_second_delivery_claims_nothing(night: Night) -> None:
    """Rule 2: the same message again gets no image, while the first works and after it is done."""
    night.register(build_arrivals(2))
    (batch,) = night.form()
    images = night.claim(batch)
    assert night.claim(batch) == []

    night.record(batch, [build_outcome(image) for image in images])
    assert night.claim(batch) == []
    assert [row.attempts for row in night.work()] == [1, 1]


def test_an_empty_claim_closes_a_batch_that_lost_its_images(night: Night) -> None:
    """Rule 6: a batch whose only file changed while it was queued does not fill the window for ever."""
    (arrival,) = build_arrivals(1)
    night.register([arrival])
    (batch,) = night.form()
    night.register([replace(arrival, size=9)])
    assert night.open_batches() == [batch.id]

    assert night.claim(batch) == []
    assert night.open_batches() == []


def test_the_sweep_closes_a_batch_that_lost_its_images_and_its_message(night: Night) -> None:
    """Rule 6: nobody will claim it, and nothing in it would ever be missed."""
    (arrival,) = build_arrivals(1)
    night.register([arrival])
    night.form()
    night.register([replace(arrival, size=9)])

    assert ledger.return_expired(night.database, now=night.clock()) == 0
    assert night.open_batches() == []
    assert night.states() == [State.RECEIVED]


def test_progress_renews_the_lease(night: Night) -> None:
    """Rule 3: a batch that is renewed in time is not swept, however long it takes."""
    night.register(build_arrivals(2))
    (batch,) = night.form()
    images = night.claim(batch)
    for _ in range(5):
        night.clock.advance(seconds=50)
        assert ledger.renew(night.database, batch.id, lease=LEASE, now=night.clock()) == 2
        assert ledger.return_expired(night.database, now=night.clock()) == 0

    assert night.record(batch, [build_outcome(image) for image in images]) == {"done": 2}


def test_a_batch_that_was_taken_cannot_be_renewed(night: Night) -> None:
    """Rule 3: the heartbeat of a worker that lost its lease says so."""
    night.register(build_arrivals(1))
    (batch,) = night.form()
    night.claim(batch)
    night.clock.advance(seconds=61)
    ledger.return_expired(night.database, now=night.clock())

    assert ledger.renew(night.database, batch.id, lease=LEASE, now=night.clock()) == 0


def test_a_late_record_after_the_lease_ran_out_writes_nothing(night: Night) -> None:
    """Rule 3: neither outcome nor facts nor predictions of a worker that came too late; its successor speaks."""
    night.register(build_arrivals(1))
    (batch,) = night.form()
    (image,) = night.claim(batch)
    night.clock.advance(seconds=61)
    ledger.return_expired(night.database, now=night.clock())
    (again,) = night.form()
    (taken,) = night.claim(again)

    assert night.record(batch, [build_outcome(image)]) == {}
    assert (night.states(), night.predicted()) == ([State.RUNNING], [])
    assert night.instances()[0].sha256 is None

    assert night.record(again, [build_outcome(taken)]) == {"done": 1}
    assert night.record(batch, [build_outcome(image, label="other")]) == {}
    assert [row.label for row in night.work()] == ["normal"]


def test_a_late_record_after_a_give_back_writes_nothing(night: Night) -> None:
    """Rule 3: what a process said after its successor gave the batch back is not heard."""
    night.register(build_arrivals(1))
    (batch,) = night.form()
    (image,) = night.claim(batch)
    assert ledger.give_back_predecessor(night.database, night.process, now=night.clock()) == 1

    assert night.record(batch, [build_outcome(image)]) == {}
    assert (night.states(), night.predicted()) == ([State.RECEIVED], [])


def test_predictions_are_written_for_rows_still_held_only(night: Night) -> None:
    """Rule 3: of a batch that lost one of its two images, one is recorded."""
    first, second = build_arrivals(2)
    night.register([first, second])
    (batch,) = night.form()
    images = night.claim(batch)
    night.register([replace(first, size=9)])

    assert night.record(batch, [build_outcome(image) for image in images]) == {"done": 1}
    assert night.predicted() == [images[1].work_id]
    assert night.states() == [State.RECEIVED, State.DONE]


def test_a_respawned_process_gives_back_what_its_predecessor_had(night: Night) -> None:
    """Rule 5: its rows are received and alone; those of other processes, nodes and starts stay where they are."""
    night.register(build_arrivals(4))
    mine, *others = night.form(images=1)
    night.claim(mine)
    strangers = (
        replace(night.process, index=1),
        replace(night.process, node="w2"),
        replace(night.process, boot_id="boot-0"),
    )
    for batch, stranger in zip(others, strangers, strict=True):
        night.claim(batch, process=stranger)

    assert ledger.give_back_predecessor(night.database, night.process, now=night.clock()) == 1

    assert [(row.state, row.alone) for row in night.work()] == [
        (State.RECEIVED, True),
        *[(State.RUNNING, False)] * 3,
    ]
    assert ledger.give_back_predecessor(night.database, night.process, now=night.clock()) == 0


def test_an_image_that_kills_its_process_fails_and_its_neighbours_are_done(night: Night) -> None:
    """Rule 5: after three deaths alone the image is failed(killed_worker); the innocent of its batch are done."""
    night.register(build_arrivals(5))
    killer = night.work()[2].id
    crashes = 0
    while batches := night.form(count=1):
        images = night.claim(batches[0])
        if killer in [image.work_id for image in images]:
            crashes += 1
            ledger.give_back_predecessor(night.database, night.process, now=night.clock())
        else:
            night.record(batches[0], [build_outcome(image) for image in images])

    assert crashes == 1 + DEATHS_ALLOWED
    assert night.states() == [State.DONE, State.DONE, State.FAILED, State.DONE, State.DONE]
    failed = night.work()[2]
    assert (failed.reason, failed.deaths, failed.finished_at) == (Reason.KILLED_WORKER, 3, night.clock())
    assert night.open_batches() == []


def test_the_neighbours_of_a_known_culprit_go_back_as_they_were(night: Night) -> None:
    """Rule 5: where the black box names the image, it alone travels alone; the others are one batch again."""
    night.register(build_arrivals(3))
    (batch,) = night.form()
    images = night.claim(batch)
    in_hand = images[0].work_id

    given_back = ledger.give_back_predecessor(night.database, night.process, in_hand=in_hand, now=night.clock())

    assert given_back == 3
    assert [(row.state, row.alone, row.deaths) for row in night.work()] == [
        (State.RECEIVED, True, 1),
        (State.RECEIVED, False, 0),
        (State.RECEIVED, False, 0),
    ]
    assert sorted(len(night.claim(again)) for again in night.form()) == [1, 2]


def test_a_known_culprit_that_was_alone_fails_at_its_third_death(night: Night) -> None:
    """Rule 5: the death among others counts too, since it is known whose it was."""
    night.register(build_arrivals(2))
    killer = night.work()[0].id
    for deaths in (1, 2, 3):
        batch = next(batch for batch in night.form() if killer in [image.work_id for image in night.claim(batch)])
        ledger.give_back_batch(night.database, batch.id, owner=night.process, in_hand=killer, now=night.clock())
        assert night.work()[0].deaths == deaths
    assert (night.work()[0].state, night.work()[0].reason) == (State.FAILED, Reason.KILLED_WORKER)
    assert not night.work()[1].alone


def test_a_culprit_that_is_not_in_the_batch_any_more_leaves_the_others_innocent(night: Night) -> None:
    """Rule 5: its file changed while it was read."""
    first, second = build_arrivals(2)
    night.register([first, second])
    (batch,) = night.form()
    images = night.claim(batch)
    night.register([replace(first, size=9)])
    ledger.give_back_predecessor(night.database, night.process, in_hand=images[0].work_id, now=night.clock())
    assert [(row.state, row.alone) for row in night.work()] == [(State.RECEIVED, False)] * 2


def test_one_batch_of_a_dead_process_goes_back_once(night: Night) -> None:
    """Rule 5: other batches of the same process stay, and a second finder finds nothing."""
    night.register(build_arrivals(2))
    one, other = night.form(images=1)
    night.claim(one)
    night.claim(other)
    assert ledger.owner_of(night.database, one.id) == night.process
    for given_back in (1, 0):
        assert ledger.give_back_batch(night.database, one.id, owner=night.process, now=night.clock()) == given_back
    assert night.states() == [State.RECEIVED, State.RUNNING]
    assert ledger.owner_of(night.database, one.id) is None


def test_a_batch_is_given_back_for_its_owner_only(night: Night) -> None:
    """Rule 5: who is mistaken about the owner takes nothing away; neither does who comes after its successor."""
    night.register(build_arrivals(1))
    (batch,) = night.form()
    assert ledger.owner_of(night.database, batch.id) is None
    night.claim(batch)
    stranger = replace(night.process, index=1)
    assert ledger.give_back_batch(night.database, batch.id, owner=stranger, now=night.clock()) == 0

    ledger.give_back_predecessor(night.database, night.process, now=night.clock())
    (again,) = night.form()
    night.claim(again)  # by the successor, which lives
    assert ledger.give_back_batch(night.database, batch.id, owner=night.process, now=night.clock()) == 0
    assert night.states() == [State.RUNNING]


def test_the_first_claim_begins_an_image_s_patience(night: Night) -> None:
    """Later claims leave it; a file that changed begins anew."""
    (arrival,) = build_arrivals(1)
    night.register([arrival])
    began = night.clock()
    for _ in range(2):
        (batch,) = night.form()
        (image,) = night.claim(batch)
        assert (image.tried_since, image.arrived_at, image.marked) == (began, began, False)
        ledger.give_back_predecessor(night.database, night.process, now=night.clock.advance(hours=1))
    night.register([replace(arrival, size=9)])
    (batch,) = night.form()
    (image,) = night.claim(batch)
    assert (image.tried_since, image.arrived_at) == (night.clock(), began)


def test_a_lease_is_a_duration_of_the_claim(night: Night) -> None:
    """A claim with a longer lease is swept later."""
    night.register(build_arrivals(1))
    (batch,) = night.form()
    ledger.claim(night.database, batch.id, process=night.process, lease=timedelta(hours=1), now=night.clock())

    assert ledger.return_expired(night.database, now=night.clock.advance(minutes=59)) == 0
    assert ledger.return_expired(night.database, now=night.clock.advance(minutes=2)) == 1
