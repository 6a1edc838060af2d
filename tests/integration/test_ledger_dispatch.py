"""Rules 1 and 6: batches are formed in the ledger, and counted there."""

from datetime import timedelta

from night import Night, build_arrivals, build_outcome

from db import ledger
from db.tables import State


def test_a_batch_is_committed_before_it_is_published(night: Night) -> None:
    """Rule 1: formed work is queued under the id of its batch, and not formed again."""
    night.register(build_arrivals(3))
    (batch,) = night.form()

    assert batch.images == 3
    assert {(row.state, row.batch_id) for row in night.work()} == {(State.QUEUED, batch.id)}
    assert night.form() == []


def test_a_batch_that_could_not_be_published_is_received_again(night: Night) -> None:
    """Rule 1: when publishing fails, the images go into a further batch and the first one is closed."""
    night.register(build_arrivals(2))
    (lost,) = night.form()

    ledger.return_unpublished(night.database, lost.id, now=night.clock())

    assert night.states() == [State.RECEIVED] * 2
    assert night.open_batches() == []
    (again,) = night.form()
    assert night.claim(lost) == []
    assert night.analyse(again) == {"done": 2}


def test_a_publish_that_failed_only_seemingly_leaves_the_worker_alone(night: Night) -> None:
    """Rule 1: a batch that a worker has claimed already keeps its rows and stays open."""
    night.register(build_arrivals(1))
    (batch,) = night.form()
    claimed = night.claim(batch)

    ledger.return_unpublished(night.database, batch.id, now=night.clock())

    assert night.states() == [State.RUNNING]
    assert night.open_batches() == [batch.id]
    assert night.record(batch, [build_outcome(image) for image in claimed]) == {"done": 1}


def test_urgent_work_goes_first_and_old_work_before_new(night: Night) -> None:
    """Batches are filled by priority, then by age."""
    night.register(build_arrivals(2), priority=5)
    night.register(build_arrivals(2), priority=0)

    batches = night.form(images=3)

    assert [[image.work_id for image in night.claim(batch)] for batch in batches] == [[1, 3, 4], [2]]


def test_batches_keep_to_their_limits(night: Night) -> None:
    """No batch holds more images or bytes than asked, but for one image that is larger by itself."""
    night.register(build_arrivals(3, size=400))
    night.register(build_arrivals(1, size=5000))
    night.register(build_arrivals(3, size=10))

    assert [batch.images for batch in night.form(images=2, max_bytes=1000)] == [2, 1, 1, 2, 1]


def test_no_more_batches_than_asked(night: Night) -> None:
    """What does not fit into the window waits in the ledger."""
    night.register(build_arrivals(7))

    assert len(night.form(count=2, images=2)) == 2
    assert night.states().count(State.RECEIVED) == 3
    assert night.form(count=0) == []


def test_work_that_must_wait_is_not_formed_before_its_time(night: Night) -> None:
    """`not_before` holds an image back, and no longer."""
    night.register(build_arrivals(1))
    night.analyse_all(state=State.RECEIVED, not_before=night.clock() + timedelta(seconds=30))

    assert night.form() == []
    assert ledger.look(night.database, images=10, now=night.clock()).ready == 0
    night.clock.advance(seconds=30)
    assert ledger.look(night.database, images=10, now=night.clock()).ready == 1
    assert night.analyse_all() == {"done": 1}


def test_work_marked_alone_travels_in_a_batch_of_one(night: Night) -> None:
    """Rule 5: a suspect among others gets its own batch, wherever it stands in the order."""
    night.register(build_arrivals(4))
    (batch,) = night.form()
    images = night.claim(batch)
    second = images[1].work_id
    outcomes = [build_outcome(image, state=State.RECEIVED, alone=image.work_id == second) for image in images]
    night.record(batch, outcomes)

    assert [batch.images for batch in night.form()] == [1, 1, 2]


def test_the_window_counts_batches_and_slots_in_the_ledger(night: Night) -> None:
    """Rule 6: published, claimed and finished batches, ready images up to the window, slots of live workers."""
    now = night.clock()
    for node, slots in (("w1", 2), ("w2", 3)):
        ledger.beat(night.database, node=node, boot_id="b", slots=slots, device="cpu", release="1", now=now)
    night.register(build_arrivals(8))
    first, second, _third = night.form(count=3, images=2)
    night.analyse(first)
    night.claim(second)

    outlook = ledger.look(night.database, images=100, now=now)
    assert (outlook.ready, outlook.waiting, outlook.running, outlook.slots) == (2, 1, 1, 5)
    assert outlook.idle_slots == 3
    assert outlook.room == 9
    night.register(build_arrivals(20))
    assert ledger.look(night.database, images=2, now=now).ready == 20

    night.clock.advance(seconds=40)
    ledger.beat(night.database, node="w2", boot_id="b", slots=3, device="cpu", release="1", now=night.clock())
    night.clock.advance(seconds=40)
    assert ledger.look(night.database, images=1, now=night.clock()).slots == 3
    ledger.sign_off(night.database, node="w2", boot_id="b")
    assert ledger.look(night.database, images=1, now=night.clock()).slots == 0


def test_a_worker_that_started_anew_replaces_itself(night: Night) -> None:
    """Slots of the earlier start of a node do not count, and its late goodbye does not end the new one."""
    for boot_id, slots in (("old", 8), ("new", 2)):
        ledger.beat(
            night.database, node="w1", boot_id=boot_id, slots=slots, device="cpu", release="1", now=night.clock()
        )
    ledger.sign_off(night.database, node="w1", boot_id="old")

    assert ledger.look(night.database, images=1, now=night.clock()).slots == 2
