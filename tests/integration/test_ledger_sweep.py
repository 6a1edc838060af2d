"""Rules 4 and 7: lost images and batches are taken back."""

from dataclasses import replace

from ledger_driver import LedgerDriver, build_arrivals, build_outcome

from db import ledger
from db.ledger.sweep import EXPIRIES_ALLOWED
from db.tables import State
from nightread.reasons import Reason


def test_images_whose_lease_expired_are_received_and_travel_alone(ledger_driver: LedgerDriver) -> None:
    """Rule 4: the sweep takes back only expired images, and closes the batch that they leave."""
    ledger_driver.register(build_arrivals(3))
    old, young = ledger_driver.form(images=2)
    ledger_driver.claim(old)
    ledger_driver.clock.advance(seconds=30)
    ledger_driver.claim(young)
    ledger_driver.clock.advance(seconds=31)

    assert ledger.return_expired(ledger_driver.database, now=ledger_driver.clock()) == 2
    assert [(row.state, row.alone, row.expiries) for row in ledger_driver.work()] == [
        (State.RECEIVED, True, 1),
        (State.RECEIVED, True, 1),
        (State.RUNNING, False, 0),
    ]
    assert ledger_driver.open_batches() == [young.id]
    assert [batch.images for batch in ledger_driver.form()] == [1, 1]


def test_the_tenth_expired_lease_is_a_failure(ledger_driver: LedgerDriver) -> None:
    """Rule 5: an image with ten expired leases is failed(killed_worker)."""
    ledger_driver.register(build_arrivals(1))
    for _ in range(EXPIRIES_ALLOWED):
        (batch,) = ledger_driver.form()
        ledger_driver.claim(batch)
        ledger.return_expired(ledger_driver.database, now=ledger_driver.clock.advance(seconds=61))

    (row,) = ledger_driver.work()
    assert (row.state, row.reason, row.expiries, row.lease_until) == (State.FAILED, Reason.KILLED_WORKER, 10, None)
    assert row.finished_at == ledger_driver.clock()
    assert ledger_driver.open_batches() == []


def test_a_batch_that_was_overtaken_60_seconds_ago_is_taken_back(ledger_driver: LedgerDriver) -> None:
    """Rule 4: a later batch was claimed; a false alarm costs an empty claim."""
    ledger_driver.register(build_arrivals(1))
    (lost,) = ledger_driver.form()
    ledger_driver.clock.advance(seconds=1)
    ledger_driver.register(build_arrivals(1))
    (later,) = ledger_driver.form()
    ledger_driver.claim(later)

    assert ledger.return_overtaken(ledger_driver.database, now=ledger_driver.clock.advance(seconds=60)) == 0
    assert ledger.return_overtaken(ledger_driver.database, now=ledger_driver.clock.advance(seconds=1)) == 1
    assert ledger_driver.states() == [State.RECEIVED, State.RUNNING]
    assert ledger_driver.claim(lost) == []
    assert ledger_driver.open_batches() == [later.id]


def test_a_batch_that_was_not_overtaken_stays_queued(ledger_driver: LedgerDriver) -> None:
    """Rule 4: neither time alone nor the claim of an earlier batch makes a batch lost."""
    ledger_driver.register(build_arrivals(1))
    (earlier,) = ledger_driver.form()
    ledger_driver.clock.advance(seconds=1)
    ledger_driver.register(build_arrivals(1))
    ledger_driver.form()
    ledger_driver.claim(earlier)

    assert ledger.return_overtaken(ledger_driver.database, now=ledger_driver.clock.advance(days=1)) == 0


def test_unclaimed_batches_are_returned_by_id(ledger_driver: LedgerDriver) -> None:
    """Rule 4: if Redis lost the queue, unclaimed batches are returned and claimed ones are not."""
    ledger_driver.register(build_arrivals(2))
    forgotten, claimed = ledger_driver.form(images=1)
    ledger_driver.claim(claimed)

    assert ledger.open_batches(ledger_driver.database) == [forgotten.id]
    assert ledger.return_batches(ledger_driver.database, [forgotten.id, claimed.id], now=ledger_driver.clock()) == 1
    assert ledger_driver.states() == [State.RECEIVED, State.RUNNING]
    assert ledger_driver.open_batches() == [claimed.id]
    assert ledger.return_batches(ledger_driver.database, [], now=ledger_driver.clock()) == 0


def test_a_claimed_batch_that_lost_all_its_images_is_closed(ledger_driver: LedgerDriver) -> None:
    """Its worker died after its files changed; the batch does not count as running for ever."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])
    (batch,) = ledger_driver.form()
    ledger_driver.claim(batch)
    ledger_driver.register([replace(arrival, size=9)])

    ledger.return_expired(ledger_driver.database, now=ledger_driver.clock())

    assert ledger_driver.open_batches() == []


def test_an_embedded_start_resets_unfinished_images(ledger_driver: LedgerDriver) -> None:
    """Rule 7: unfinished images are received, final rows stay, batches are closed, late records write nothing."""
    ledger_driver.register(build_arrivals(3))
    done, running, _queued = ledger_driver.form(images=1)
    ledger_driver.analyse(done)
    images = ledger_driver.claim(running)

    assert ledger.reset_unfinished(ledger_driver.database, now=ledger_driver.clock()) == 2

    assert ledger_driver.states() == [State.DONE, State.RECEIVED, State.RECEIVED]
    assert ledger_driver.open_batches() == []
    assert ledger_driver.record(running, [build_outcome(image) for image in images]) == {}
    assert ledger_driver.analyse_all() == {"done": 2}
