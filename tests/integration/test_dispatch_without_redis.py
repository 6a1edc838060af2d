"""While Redis is unavailable, images wait in the database; they are sent when Redis is back."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dispatcher_driver import DispatcherDriver, open_dispatcher
from ledger_driver import LedgerDriver
from redis.exceptions import RedisError

from cli.embedded.redis_server import running_redis
from cli.embedded.state_folder import make_state_folder
from db.ledger import Arrival, Batch
from nightread.settings import load_settings

DOWN = "Redis is unavailable: images wait in the database until it is back"
MakeArrivals = Callable[..., list[Arrival]]


def test_no_batches_are_formed_while_redis_is_unavailable(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Sweeps continue without delay, the outage is logged once, and images are sent when Redis is back."""
    settings = load_settings(None, state_dir=tmp_path)
    make_state_folder(tmp_path)
    with running_redis(settings) as (url, server), open_dispatcher(ledger_driver, url) as dispatcher_driver:
        ledger_driver.register(make_arrivals(20))
        dispatcher_driver.dispatch_all()
        assert server.process is not None
        server.process.kill()
        server.process.wait()
        dispatcher_driver.heartbeat(slots=4)
        for _ in range(5):
            asked = time.monotonic()
            dispatcher_driver.sweep()
            assert time.monotonic() - asked < 1
        assert ledger_driver.states().count("received") == 12
        assert dispatcher_driver.batches_formed() == 2
        assert [record.getMessage() for record in caplog.records].count(DOWN) == 1
        server.start()
        _until_answering(dispatcher_driver)
        rounds = 0
        while set(ledger_driver.states()) != {"done"}:
            rounds += 1
            assert rounds < 10, ledger_driver.states()
            dispatcher_driver.sweep()
            dispatcher_driver.dispatch_all()
            for batch in dispatcher_driver.batches():
                dispatcher_driver.take_message()
                ledger_driver.analyse(Batch(id=batch, images=4))


def test_a_redis_that_hangs_does_not_block_sweeps(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, tmp_path: Path
) -> None:
    """A stopped Redis accepts connections and does not respond; expired leases are still returned."""
    settings = load_settings(None, state_dir=tmp_path)
    make_state_folder(tmp_path)
    with running_redis(settings) as (url, server), open_dispatcher(ledger_driver, url) as dispatcher_driver:
        ledger_driver.register(make_arrivals(4))
        dispatcher_driver.dispatch_all()
        (batch,) = dispatcher_driver.batches()
        ledger_driver.claim(Batch(id=batch, images=4))
        ledger_driver.clock.advance(seconds=61)
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        try:
            asked = time.monotonic()
            dispatcher_driver.sweep()
            assert time.monotonic() - asked < 6
            assert set(ledger_driver.states()) == {"received"}
            assert dispatcher_driver.batches_formed() == 1
        finally:
            server.process.send_signal(signal.SIGCONT)


def test_a_redis_that_comes_back_is_used_within_a_second(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, tmp_path: Path
) -> None:
    """The loop tries it once a second, with new connections if the old ones are broken."""
    settings = load_settings(None, state_dir=tmp_path)
    make_state_folder(tmp_path)
    stop = threading.Event()
    with (
        running_redis(settings) as (url, server),
        open_dispatcher(ledger_driver, url, poll_seconds=1) as dispatcher_driver,
    ):
        dispatcher_driver.dispatch_all()
        loop = threading.Thread(target=dispatcher_driver.dispatcher.run, args=(stop,))
        loop.start()
        try:
            assert server.process is not None
            server.process.kill()
            server.process.wait()
            ledger_driver.register(make_arrivals(4))
            loop.join(1.5)
            assert dispatcher_driver.batches_formed() == 0
            server.start()
            _until_answering(dispatcher_driver)
            back = time.monotonic()
            while not dispatcher_driver.batches():
                assert time.monotonic() - back < 3
        finally:
            stop.set()
            loop.join(10)
    assert not loop.is_alive()


def _until_answering(dispatcher_driver: DispatcherDriver) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            dispatcher_driver.transport.ping()
        except RedisError:
            assert time.monotonic() < deadline
        else:
            return
