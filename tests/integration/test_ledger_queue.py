"""The queue: which images a batch takes, what the status counts, and what each call leaves alone."""

from datetime import timedelta
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import select

from db import ledger
from db.ledger import Batch, BatchFilter, QueueStatus, SourceFilter
from db.ledger.arrivals import uri_key
from db.tables import State, batches, workers
from nightread.reasons import Reason


def row_of(ledger_driver: LedgerDriver, batch: Batch) -> Any:
    """Return the row of a batch."""
    with ledger_driver.database.read() as connection:
        return connection.execute(select(batches).where(batches.c.id == batch.id)).one()


@pytest.mark.parametrize(
    ("slots", "waiting", "running", "window", "free", "idle"),
    [(0, 0, 0, 2, 2, 0), (1, 1, 0, 2, 1, 0), (3, 1, 1, 6, 5, 1), (4, 0, 1, 8, 8, 3), (1, 3, 2, 2, -1, 0)],
)
def test_the_places_in_the_queue(*, slots: int, waiting: int, running: int, window: int, free: int, idle: int) -> None:
    """Two batches per process, two at least; a process is idle if it has neither a running nor a waiting batch."""
    status = QueueStatus(ready=0, waiting=waiting, running=running, slots=slots)
    assert (status.window, status.free_places, status.idle_slots, status.starting) == (window, free, idle, 0)


def test_waiting_and_running_batches_are_counted_apart(ledger_driver: LedgerDriver) -> None:
    """Of six, three wait, two are claimed and one is finished. Urgent images may fill the window twice."""
    ledger_driver.register(build_arrivals(6))
    finished, *claimed = ledger_driver.form(images=1)[:3]
    ledger_driver.analyse(finished)
    for batch in claimed:
        ledger_driver.claim(batch)
    status = ledger.queue_status(ledger_driver.database, images=1, now=ledger_driver.clock())
    assert (status.waiting, status.running, status.ready, status.urgent) == (3, 2, 0, 0)
    assert (status.window, status.free_places, status.urgent_places) == (2, -1, 1)


def beat(ledger_driver: LedgerDriver, node: str, **fields: Any) -> None:
    values = {"boot_id": "b", "slots": 1, "device": "cpu", "release": "1", **fields}
    ledger.heartbeat(ledger_driver.database, node=node, now=ledger_driver.clock(), **values)


def test_a_worker_counts_for_45_seconds_after_its_heartbeat(ledger_driver: LedgerDriver) -> None:
    """Its starting processes are counted too. Without any worker both are 0."""

    def counted() -> tuple[int, int]:
        status = ledger.queue_status(ledger_driver.database, images=1, now=ledger_driver.clock())
        return status.slots, status.starting

    assert counted() == (0, 0)
    beat(ledger_driver, "w1", slots=4, starting=3)
    beat(ledger_driver, "w2", slots=2, starting=1)
    assert counted() == (6, 4)
    ledger_driver.clock.advance(seconds=45)
    assert counted() == (6, 4)
    ledger_driver.clock.advance(seconds=1)
    assert counted() == (0, 0)


def test_a_heartbeat_updates_the_row_of_its_worker_only(ledger_driver: LedgerDriver) -> None:
    """The time of its start stays; a new start has its own, and another worker is not touched."""
    began = ledger_driver.clock()
    beat(ledger_driver, "w1", slots=4)
    beat(ledger_driver, "w2", slots=9)
    now = ledger_driver.clock.advance(seconds=5)
    beat(ledger_driver, "w1", slots=5, starting=2, device="gpu", release="2")

    def rows() -> list[tuple[Any, ...]]:
        with ledger_driver.database.read() as connection:
            found = connection.execute(select(workers).order_by(workers.c.node))
            return [(row.node, row.boot_id, row.slots, row.starting, row.started_at, row.heartbeat_at) for row in found]

    assert rows() == [("w1", "b", 5, 2, began, now), ("w2", "b", 9, 0, began, began)]
    again = ledger_driver.clock.advance(seconds=5)
    beat(ledger_driver, "w1", boot_id="c")
    assert rows() == [("w1", "c", 1, 0, again, again), ("w2", "b", 9, 0, began, began)]
    ledger.deregister(ledger_driver.database, node="w2", boot_id="c")
    ledger.deregister(ledger_driver.database, node="w1", boot_id="b")
    assert len(rows()) == 2
    ledger.deregister(ledger_driver.database, node="w2", boot_id="b")
    assert [row[0] for row in rows()] == ["w1"]


def test_the_status_counts_ready_images_up_to_the_window(ledger_driver: LedgerDriver) -> None:
    """Two batches of three images fill the window of a machine without any worker; counting stops there."""
    ledger_driver.register(build_arrivals(5))
    assert ledger.queue_status(ledger_driver.database, images=3, now=ledger_driver.clock()).ready == 5
    ledger_driver.register(build_arrivals(5))
    assert ledger.queue_status(ledger_driver.database, images=3, now=ledger_driver.clock()).ready == 6


def test_a_batch_knows_its_images_bytes_and_time(ledger_driver: LedgerDriver) -> None:
    """The value that is published has its number of images."""
    ledger_driver.register(build_arrivals(3, size=7))
    (batch,) = ledger_driver.form()
    row = row_of(ledger_driver, batch)
    assert (batch.images, row.images, row.bytes, row.created_at) == (3, 3, 21, ledger_driver.clock())
    assert (row.claimed_at, row.finished_at) == (None, None)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([500, 500, 1], [2, 1]),
        ([500, 501], [1, 1]),
        ([2000, 1], [1, 1]),
        ([1, 2000, 1], [1, 1, 1]),
        ([1000, 500, 500], [1, 2]),
    ],
)
def test_a_batch_may_be_exactly_as_large_as_its_limit(
    ledger_driver: LedgerDriver, sizes: list[int], expected: list[int]
) -> None:
    """One byte more begins another batch."""
    for size in sizes:
        ledger_driver.register(build_arrivals(1, size=size))
    assert [batch.images for batch in ledger_driver.form(max_bytes=1000)] == expected


@pytest.mark.parametrize(("count", "expected"), [(1, [2]), (2, [2, 2]), (3, [2, 2, 1])])
def test_as_many_batches_as_requested(ledger_driver: LedgerDriver, count: int, expected: list[int]) -> None:
    """The last one may be smaller; images beyond stay received."""
    ledger_driver.register(build_arrivals(5))
    assert [batch.images for batch in ledger_driver.form(count=count, images=2)] == expected
    assert ledger_driver.states().count(State.RECEIVED) == 5 - sum(expected)


def test_images_that_travel_alone_do_not_make_more_batches_than_requested(ledger_driver: LedgerDriver) -> None:
    """Three of them fill three batches, although a batch has room for four images."""
    ledger_driver.register(build_arrivals(4))
    ledger_driver.analyse_all(state=State.RECEIVED, reason=Reason.OUT_OF_MEMORY, alone=True)
    assert [batch.images for batch in ledger_driver.form(count=3, images=4)] == [1, 1, 1]
    assert ledger_driver.states().count(State.RECEIVED) == 1


@pytest.mark.parametrize(
    ("batch_filter", "expected"),
    [(BatchFilter.ANY, [1, 2, 3]), (BatchFilter.UNSUSPECTED, [2, 3]), (BatchFilter.UNTRIED, [3])],
)
def test_a_filter_leaves_out_suspected_or_tried_images(
    ledger_driver: LedgerDriver, batch_filter: BatchFilter, expected: list[int]
) -> None:
    """Image 1 is marked `alone`, image 2 was tried before, and image 3 is new."""
    ledger_driver.register(build_arrivals(3))
    first, second, third = ledger_driver.form(images=1)
    ledger_driver.analyse(first, state=State.RECEIVED, alone=True)
    ledger_driver.analyse(second, state=State.RECEIVED, reason=Reason.IO_ERROR)
    ledger.return_unpublished(ledger_driver.database, third.id, now=ledger_driver.clock())
    formed = ledger.form_batches(
        ledger_driver.database,
        count=9,
        images=9,
        max_bytes=10**9,
        now=ledger_driver.clock(),
        batch_filter=batch_filter,
    )
    taken = [image.work_id for batch in formed for image in ledger_driver.claim(batch)]
    assert sorted(taken) == expected


@pytest.mark.parametrize(
    ("held", "only", "expected"),
    [
        ((), None, 6),
        ((0,), None, 5),
        ((1,), None, 4),
        ((1, 2), None, 1),
        ((), 1, 2),
        ((2,), 2, 3),
        ((0, 1, 2), None, 0),
    ],
)
def test_images_of_some_sources_are_counted_and_sent(
    ledger_driver: LedgerDriver, held: tuple[int, ...], only: int | None, expected: int
) -> None:
    """Of three sources, which have one, two and three images. A probe of one source ignores that it is held."""
    now = ledger_driver.clock()
    sources = [
        ledger.ensure_source(ledger_driver.database, name=name, kind="folder", root="", now=now) for name in "abc"
    ]
    for number, source in enumerate(sources, start=1):
        ledger_driver.register(build_arrivals(number), source_id=source)
    chosen = SourceFilter(
        held=frozenset(sources[place] for place in held), only=None if only is None else sources[only]
    )
    status = ledger.queue_status(ledger_driver.database, images=10, now=now, source_filter=chosen)
    assert status.ready == expected
    formed = ledger.form_batches(
        ledger_driver.database, count=9, images=1, max_bytes=10**9, now=now, source_filter=chosen
    )
    assert len(formed) == expected


def test_a_batch_that_was_not_published_returns_only_its_own_images(ledger_driver: LedgerDriver) -> None:
    """Another one stays queued, and of its own one an image that a worker claimed stays running."""
    ledger_driver.register(build_arrivals(2))
    lost, other = ledger_driver.form(images=1)
    now = ledger_driver.clock.advance(seconds=1)
    ledger.return_unpublished(ledger_driver.database, lost.id, now=now)
    assert [(row.state, row.batch_id) for row in ledger_driver.work()] == [
        (State.RECEIVED, None),
        (State.QUEUED, other.id),
    ]
    assert (row_of(ledger_driver, lost).finished_at, row_of(ledger_driver, other).finished_at) == (now, None)
    ledger_driver.claim(other)
    ledger.return_unpublished(ledger_driver.database, other.id, now=now)
    assert ledger_driver.states() == [State.RECEIVED, State.RUNNING]
    assert row_of(ledger_driver, other).finished_at is None


def test_the_key_of_a_place_has_32_hex_digits() -> None:
    """BLAKE2b-128 of the text, as the documentation of the ledger says."""
    assert uri_key("a.dcm") == "cb069f9d187c3b69e94376a0c89c7ccb"  # b2sum -l 128


def test_a_changed_file_of_another_source_is_not_taken_back(ledger_driver: LedgerDriver) -> None:
    """The same path in two sources is two images: only that of its own source changes."""
    (arrival,) = build_arrivals(1, uri="same.dcm", size=1, mtime_ns=1)
    ledger_driver.register([arrival])
    own = ledger_driver.source_id
    ledger_driver.source_id = ledger.ensure_source(
        ledger_driver.database, name="other", kind="folder", root="/other", now=ledger_driver.clock()
    )
    ledger_driver.register(build_arrivals(1, uri="same.dcm", size=1, mtime_ns=1))
    ledger_driver.form()
    registered = ledger_driver.register(build_arrivals(1, uri="same.dcm", size=2, mtime_ns=2))
    assert (registered.new, registered.changed) == (0, 1)
    rows = [(row.source_id, row.size, row.mtime_ns) for row in ledger_driver.instances()]
    assert rows == [(own, 1, 1), (ledger_driver.source_id, 2, 2)]
    assert ledger_driver.states() == [State.QUEUED, State.RECEIVED]


def test_a_changed_file_starts_from_the_beginning(ledger_driver: LedgerDriver) -> None:
    """Nothing of the lease, the batch, the pause or the attempts for the older bytes remains."""
    ledger_driver.register(build_arrivals(1, uri="a.dcm", size=1, mtime_ns=1))
    later = ledger_driver.clock() + timedelta(hours=1)
    ledger_driver.analyse_all(state=State.RECEIVED, reason=Reason.IO_ERROR, not_before=later)
    ledger_driver.register(build_arrivals(1, uri="a.dcm", size=2, mtime_ns=1))
    (row,) = ledger_driver.work()
    assert (row.attempts, row.tried_since, row.not_before) == (0, None, None)
    (batch,) = ledger_driver.form()
    ledger_driver.claim(batch)
    ledger_driver.register(build_arrivals(1, uri="a.dcm", size=2, mtime_ns=2))
    (row,) = ledger_driver.work()
    assert (row.state, row.batch_id, row.lease_until, row.attempts) == (State.RECEIVED, None, None, 0)


def test_a_file_that_changed_after_its_outcome_leaves_the_outcome_alone(ledger_driver: LedgerDriver) -> None:
    """There are two rows then. If it changes again before it is read, only the newer one follows."""
    for size in (1, 2, 3):
        ledger_driver.register(build_arrivals(1, uri="a.dcm", size=size, mtime_ns=size))
        if size == 1:
            ledger_driver.analyse_all()
    assert [(row.size, row.mtime_ns) for row in ledger_driver.instances()] == [(1, 1), (3, 3)]
    assert ledger_driver.states() == [State.DONE, State.RECEIVED]


def test_a_new_row_of_work_has_nothing_behind_it(ledger_driver: LedgerDriver) -> None:
    """No attempt, no death, no expired lease; it may travel with others, and it is the first row of its image."""
    ledger_driver.register(build_arrivals(1), priority=3)
    (row,) = ledger_driver.work()
    assert (row.ordinal, row.state, row.attempts, row.deaths, row.expiries) == (0, State.RECEIVED, 0, 0, 0)
    assert (row.priority, row.alone, row.reason, row.batch_id) == (3, False, None, None)


def test_a_record_may_come_for_a_part_of_the_images(ledger_driver: LedgerDriver) -> None:
    """The others stay running until the sweep takes them back, although the batch is closed."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    first, _second = ledger_driver.claim(batch)
    assert ledger_driver.record(batch, [build_outcome(first)]) == {"done": 1}
    assert ledger_driver.states() == [State.DONE, State.RUNNING]
