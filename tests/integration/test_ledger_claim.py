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


def test_a_lease_is_a_duration_of_the_claim(night: Night) -> None:
    """A claim with a longer lease is swept later."""
    night.register(build_arrivals(1))
    (batch,) = night.form()
    ledger.claim(night.database, batch.id, process=night.process, lease=timedelta(hours=1), now=night.clock())

    assert ledger.return_expired(night.database, now=night.clock.advance(minutes=59)) == 0
    assert ledger.return_expired(night.database, now=night.clock.advance(minutes=2)) == 1
