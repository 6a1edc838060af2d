"""Rules 4 and 7: what is lost comes back."""

from dataclasses import replace

from night import Night, build_arrivals, build_outcome

from db import ledger
from db.ledger.sweep import EXPIRIES_ALLOWED
from db.tables import State
from nightread.reasons import Reason


def test_images_whose_lease_ran_out_are_received_and_travel_alone(night: Night) -> None:
    """Rule 4: the sweep takes back expired rows and no others, and closes the batch they leave."""
    night.register(build_arrivals(3))
    old, young = night.form(images=2)
    night.claim(old)
    night.clock.advance(seconds=30)
    night.claim(young)
    night.clock.advance(seconds=31)

    assert ledger.return_expired(night.database, now=night.clock()) == 2
    assert [(row.state, row.alone, row.expiries) for row in night.work()] == [
        (State.RECEIVED, True, 1),
        (State.RECEIVED, True, 1),
        (State.RUNNING, False, 0),
    ]
    assert night.open_batches() == [young.id]
    assert [batch.images for batch in night.form()] == [1, 1]


def test_the_tenth_expired_lease_is_a_failure(night: Night) -> None:
    """Rule 5: an image whose worker vanishes ten times is failed(killed_worker)."""
    night.register(build_arrivals(1))
    for _ in range(EXPIRIES_ALLOWED):
        (batch,) = night.form()
        night.claim(batch)
        ledger.return_expired(night.database, now=night.clock.advance(seconds=61))

    (row,) = night.work()
    assert (row.state, row.reason, row.expiries, row.lease_until) == (State.FAILED, Reason.KILLED_WORKER, 10, None)
    assert row.finished_at == night.clock()
    assert night.open_batches() == []


def test_a_batch_overtaken_for_a_minute_is_lost(night: Night) -> None:
    """Rule 4: a queued batch is taken back 60 s after a later one was claimed; a false alarm costs an empty claim."""
    night.register(build_arrivals(1))
    (lost,) = night.form()
    night.clock.advance(seconds=1)
    night.register(build_arrivals(1))
    (later,) = night.form()
    night.claim(later)

    assert ledger.return_overtaken(night.database, now=night.clock.advance(seconds=60)) == 0
    assert ledger.return_overtaken(night.database, now=night.clock.advance(seconds=1)) == 1
    assert night.states() == [State.RECEIVED, State.RUNNING]
    assert night.claim(lost) == []
    assert night.open_batches() == [later.id]


def test_a_batch_that_nobody_overtook_waits_for_ever(night: Night) -> None:
    """Rule 4: time alone loses no batch; neither do batches that were formed earlier."""
    night.register(build_arrivals(1))
    (earlier,) = night.form()
    night.clock.advance(seconds=1)
    night.register(build_arrivals(1))
    night.form()
    night.claim(earlier)

    assert ledger.return_overtaken(night.database, now=night.clock.advance(days=1)) == 0


def test_unclaimed_batches_are_returned_by_name(night: Night) -> None:
    """Rule 4: when Redis forgot, the dispatcher returns the open batches; claimed ones are not among them."""
    night.register(build_arrivals(2))
    forgotten, claimed = night.form(images=1)
    night.claim(claimed)

    assert ledger.open_batches(night.database) == [forgotten.id]
    assert ledger.return_batches(night.database, [forgotten.id, claimed.id], now=night.clock()) == 1
    assert night.states() == [State.RECEIVED, State.RUNNING]
    assert night.open_batches() == [claimed.id]
    assert ledger.return_batches(night.database, [], now=night.clock()) == 0


def test_a_claimed_batch_that_lost_all_its_images_is_closed(night: Night) -> None:
    """A worker that died after its files changed leaves no batch that counts as running for ever."""
    (arrival,) = build_arrivals(1)
    night.register([arrival])
    (batch,) = night.form()
    night.claim(batch)
    night.register([replace(arrival, size=9)])

    ledger.return_expired(night.database, now=night.clock())

    assert night.open_batches() == []


def test_an_embedded_start_takes_everything_up_again(night: Night) -> None:
    """Rule 7: queued and running are received, final rows stay, no batch is open, late workers are not heard."""
    night.register(build_arrivals(3))
    done, running, _queued = night.form(images=1)
    night.analyse(done)
    images = night.claim(running)

    assert ledger.reset_unfinished(night.database, now=night.clock()) == 2

    assert night.states() == [State.DONE, State.RECEIVED, State.RECEIVED]
    assert night.open_batches() == []
    assert night.record(running, [build_outcome(image) for image in images]) == {}
    assert night.analyse_all() == {"done": 2}
