"""Urgent images, for whose results somebody waits, overtake a night that is under way."""

from collections.abc import Callable, Iterator

import pytest
from dispatcher_driver import DispatcherDriver, open_dispatcher
from ledger_driver import LedgerDriver

from db.ledger import URGENT, Arrival
from nightread.contract import BATCH_QUEUE

MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def dispatcher_driver(
    ledger_driver: LedgerDriver, redis_url: str, make_arrivals: MakeArrivals
) -> Iterator[DispatcherDriver]:
    """A dispatcher whose window is full: a night of 1,000 images waits for one worker process."""
    with open_dispatcher(ledger_driver, redis_url) as dispatcher_driver:
        dispatcher_driver.heartbeat(slots=1)
        ledger_driver.register(make_arrivals(1000))
        dispatcher_driver.dispatch_all()
        yield dispatcher_driver


def instances_of(dispatcher_driver: DispatcherDriver, batch_id: str) -> list[int]:
    """Return the ids of the images of a batch."""
    return [row.instance_id for row in dispatcher_driver.ledger_driver.work() if row.batch_id == batch_id]


def test_an_urgent_image_is_the_next_that_a_worker_takes(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """It has a batch of its own, before those that were published earlier."""
    earlier = dispatcher_driver.batches()
    dispatcher_driver.ledger_driver.register(make_arrivals(1), priority=URGENT)

    assert dispatcher_driver.dispatcher.tick() == 0.0

    first, *others = dispatcher_driver.batches()
    assert instances_of(dispatcher_driver, first) == [1001]
    assert others == earlier


def test_urgent_images_are_first_in_first_out(dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals) -> None:
    """Whoever sent first gets the result first: workers, which read with kombu, take the older batch first."""
    for _ in range(2):
        dispatcher_driver.ledger_driver.register(make_arrivals(1), priority=URGENT)
        dispatcher_driver.dispatch_all()
    shown = dispatcher_driver.batches()

    with dispatcher_driver.broker.connection() as connection, connection.SimpleQueue(BATCH_QUEUE) as queue:
        taken = [queue.get_nowait().headers["id"] for _ in shown]

    assert [instances_of(dispatcher_driver, batch) for batch in taken[:2]] == [[1001], [1002]]
    assert taken == shown


def test_urgent_images_never_share_a_batch_with_others(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """The result of an urgent image would come with those of the whole batch."""
    dispatcher_driver.ledger_driver.register(make_arrivals(3), priority=URGENT)

    urgent, other = dispatcher_driver.ledger_driver.form(count=2, images=64)

    assert (urgent.images, other.images) == (3, 64)


def test_urgent_images_do_not_flood_the_queue(dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals) -> None:
    """They may fill a second window; others wait in the database, where a lost Redis loses nothing."""
    for _ in range(10):
        dispatcher_driver.ledger_driver.register(make_arrivals(1), priority=URGENT)
        dispatcher_driver.dispatch_all()

    assert len(dispatcher_driver.batches()) == 4


def test_many_urgent_images_are_spread_over_the_processes(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """Six clients at once are one batch per process, and not six batches."""
    dispatcher_driver.heartbeat(slots=2)
    dispatcher_driver.ledger_driver.register(make_arrivals(6), priority=URGENT)

    dispatcher_driver.dispatcher.tick()

    sizes = [len(instances_of(dispatcher_driver, batch)) for batch in dispatcher_driver.batches()]
    assert sizes[:2] == [3, 3]


def test_after_four_urgent_batches_comes_one_of_the_others(
    dispatcher_driver: DispatcherDriver, make_arrivals: MakeArrivals
) -> None:
    """Clients without end do not stop a night: the next process takes one of its batches."""
    dispatcher_driver.heartbeat(slots=3)
    dispatcher_driver.dispatch_all()
    dispatcher_driver.ledger_driver.register(make_arrivals(24), priority=URGENT)

    dispatcher_driver.dispatch_all()

    taken = [instances_of(dispatcher_driver, batch)[0] > 1000 for batch in dispatcher_driver.batches()]
    assert taken[:6] == [True, True, True, True, False, True]
