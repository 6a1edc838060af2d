"""The dispatcher says whether work is on its way, so that `run` sees the end of it at once."""

from collections.abc import Callable

from dispatcher_driver import open_dispatcher
from ledger_driver import LedgerDriver

from db.ledger import Arrival, Batch


def test_the_dispatcher_is_idle_until_an_image_comes_and_after_its_outcome(
    ledger_driver: LedgerDriver, redis_url: str, make_arrivals: Callable[..., list[Arrival]]
) -> None:
    """A published batch is work, and so is one that a process has claimed."""
    with open_dispatcher(ledger_driver, redis_url) as driver:
        driver.heartbeat(slots=1)

        def is_idle() -> bool:
            driver.dispatcher.tick()
            return driver.dispatcher.is_idle

        assert is_idle()
        ledger_driver.register(make_arrivals(1))
        assert not is_idle()
        assert not is_idle()
        (name,) = driver.batches()
        ledger_driver.analyse(Batch(id=name, images=1))
        assert is_idle()
