"""Counts, throughput and workers are right, on both databases."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from ledger_driver import LedgerDriver, SettableClock, build_outcome
from sqlalchemy import delete

from db import ledger, queries
from db.engine import Database
from db.ledger import Arrival, FurtherPrediction
from db.tables import State, work
from nightread.reasons import Reason

MakeArrivals = Callable[..., list[Arrival]]


def test_a_tally_counts_each_arrival_by_the_state_of_its_first_row(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """All states are counted separately, and together they are all arrivals."""
    ledger_driver.register(make_arrivals(4))
    ledger_driver.analyse_all()
    ledger_driver.register(make_arrivals(3))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.TRUNCATED)
    ledger_driver.register(make_arrivals(2))
    ledger_driver.analyse_all(state=State.FAILED, reason=Reason.MISSING_FILE)
    ledger_driver.register(make_arrivals(1))
    (running,) = ledger_driver.form()
    ledger_driver.claim(running)
    ledger_driver.register(make_arrivals(5))
    ledger_driver.form(count=1, images=2)

    counted = queries.tally(ledger_driver.database)

    assert counted == queries.Tally(arrived=15, done=4, rejected=3, failed=2, running=1, queued=2, waiting=3)
    assert counted.adds_up
    assert counted.unfinished == queries.unfinished(ledger_driver.database) == 6


def test_the_same_bytes_again_count_as_a_duplicate(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """Of two files with the same content one is done and one is a duplicate."""
    ledger_driver.register(make_arrivals(2))
    ledger_driver.analyse_all(content="a" * 64)

    counted = queries.tally(ledger_driver.database)

    assert (counted.done, counted.duplicate) == (1, 1)


def test_an_arrival_without_work_does_not_add_up(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """Arrivals are counted separately, so a lost row of work is noticed."""
    ledger_driver.register(make_arrivals(3))
    ledger_driver.database.write(lambda connection: connection.execute(delete(work).where(work.c.instance_id == 2)))

    assert not queries.tally(ledger_driver.database).adds_up


def test_a_further_row_of_work_does_not_count_as_an_arrival(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """It does not change the tally, the progress or the results."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all()
    _add_further_row(ledger_driver.database, instance_id=1)

    assert queries.tally(ledger_driver.database) == queries.Tally(arrived=1, done=1)
    assert [image["state"] for image in queries.images(ledger_driver.database)] == ["done"]


@pytest.mark.parametrize("other_first", [True, False])
def test_sources_are_counted_separately(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, clock: SettableClock, *, other_first: bool
) -> None:
    """The tally, reasons and progress of some sources leave out the others."""
    other = ledger.ensure_source(ledger_driver.database, name="other", kind="folder", root="/other", now=clock())
    ledger_driver.register(make_arrivals(2))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.EMPTY)
    ledger.register(ledger_driver.database, source_id=other, arrivals=make_arrivals(3), priority=5, now=clock())

    both = [other, ledger_driver.source_id] if other_first else [ledger_driver.source_id, other]

    assert queries.tally(ledger_driver.database, [other]) == queries.Tally(arrived=3, waiting=3)
    assert queries.tally(ledger_driver.database, [ledger_driver.source_id]) == queries.Tally(arrived=2, rejected=2)
    assert queries.tally(ledger_driver.database, both) == queries.tally(ledger_driver.database)
    assert queries.unfinished(ledger_driver.database, [other]) == 3
    assert queries.reasons(ledger_driver.database, [other]) == []
    assert queries.reasons(ledger_driver.database, [ledger_driver.source_id]) == [("rejected", "empty", "defective", 2)]


def test_reasons_come_with_their_class_the_most_frequent_first(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The classes are defective, out of scope and failed."""
    for number, state, reason in (
        (1, State.REJECTED, Reason.TRUNCATED),
        (3, State.REJECTED, Reason.NON_IMAGE),
        (2, State.FAILED, Reason.TIMEOUT),
    ):
        ledger_driver.register(make_arrivals(number))
        ledger_driver.analyse_all(state=state, reason=reason)

    assert queries.reasons(ledger_driver.database) == [
        ("rejected", "non_image", "out_of_scope", 3),
        ("failed", "timeout", "failed", 2),
        ("rejected", "truncated", "defective", 1),
    ]


def test_the_remaining_time_follows_from_the_last_minute(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, clock: SettableClock
) -> None:
    """Twenty images in ten seconds are two per second, so eight more take four seconds."""
    ledger_driver.register(make_arrivals(28))
    (batch,) = ledger_driver.form(count=1, images=20)
    claimed = ledger_driver.claim(batch)
    clock.advance(seconds=10)
    ledger_driver.record(batch, [_done(image) for image in claimed])

    pace = queries.pace(ledger_driver.database, unfinished=8, now=clock())

    assert pace.per_second == pytest.approx(2)
    assert pace.eta_seconds == pytest.approx(4)
    assert queries.rate(ledger_driver.database, since=clock() - timedelta(hours=1)) == pytest.approx(2)


def test_the_remaining_time_is_unknown_without_recent_outcomes(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, clock: SettableClock
) -> None:
    """With no image left it is 0."""
    ledger_driver.register(make_arrivals(2))
    ledger_driver.analyse_all()
    clock.advance(minutes=2)

    assert queries.pace(ledger_driver.database, unfinished=5, now=clock()) == queries.Pace(
        per_second=0.0, eta_seconds=None
    )
    assert queries.pace(ledger_driver.database, unfinished=0, now=clock()) == queries.Pace(
        per_second=0.0, eta_seconds=0.0
    )
    assert queries.rate(ledger_driver.database, since=clock()) is None


def test_the_oldest_waiting_image_is_found(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, clock: SettableClock
) -> None:
    """Done images do not count."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all()
    assert queries.oldest_waiting(ledger_driver.database) is None
    waiting_since = clock.advance(minutes=5)
    ledger_driver.register(make_arrivals(1))
    clock.advance(minutes=5)
    ledger_driver.register(make_arrivals(1))

    assert queries.oldest_waiting(ledger_driver.database) == waiting_since


def test_workers_without_heartbeat_are_listed_as_not_alive(database: Database, clock: SettableClock) -> None:
    """A worker without a recent heartbeat stays in the list."""
    ledger.heartbeat(database, node="gone", boot_id="1", slots=2, device="2 CPU", release="0", now=clock())
    clock.advance(minutes=5)
    ledger.heartbeat(database, node="here", boot_id="2", slots=4, device="1 GPU", release="0", now=clock())

    found = queries.workers(database, now=clock())

    assert [(worker.node, worker.slots, worker.alive) for worker in found] == [("gone", 2, False), ("here", 4, True)]


def test_open_batches_are_those_published_and_those_claimed(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """A finished batch is not open."""
    ledger_driver.register(make_arrivals(3))
    first, second, _ = ledger_driver.form(images=1)
    ledger_driver.analyse(first)
    ledger_driver.claim(second)

    assert queries.open_batches(ledger_driver.database) == (1, 1)


def _done(image: ledger.Claimed) -> ledger.Outcome:
    return ledger.Outcome(work_id=image.work_id, instance_id=image.instance_id, state=State.DONE)


def _add_further_row(database: Database, *, instance_id: int) -> None:
    """Insert a second row of work for an image, as a later release may do."""
    row = {"instance_id": instance_id, "ordinal": 1, "state": "received", "attempts": 0, "deaths": 0, "expiries": 0}
    statement = work.insert().values(**row, priority=5, alone=False)
    database.write(lambda connection: connection.execute(statement))


def test_further_results_do_not_increase_the_throughput(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, clock: SettableClock, bundle_id: int
) -> None:
    """Images count, not bundles; otherwise the remaining time would be too short."""
    ledger_driver.register(make_arrivals(20))
    (batch,) = ledger_driver.form(images=20)
    claimed = ledger_driver.claim(batch)
    clock.advance(seconds=10)
    further = (FurtherPrediction(bundle_id=bundle_id, shadow=True, label="normal", score=0.5, scores=[0.5, 0.5]),)
    ledger_driver.record(batch, [build_outcome(image, bundle_id=bundle_id, further=further) for image in claimed])
    assert queries.pace(ledger_driver.database, unfinished=8, now=clock()).per_second == pytest.approx(2)
    assert queries.rate(ledger_driver.database, since=clock() - timedelta(hours=1)) == pytest.approx(2)
