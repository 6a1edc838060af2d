"""A dispatcher whose Redis is away: the ledger keeps the work, and it goes out when Redis is back."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from desk import Desk, opened
from night import Night
from redis.exceptions import RedisError

from cli.embedded_redis import running_redis
from cli.state_folder import make_state_folder
from db.ledger import Arrival, Batch
from nightread.contract import BATCH_QUEUE
from nightread.settings import load_settings

DOWN = "Redis does not answer: the ledger keeps the work"
MakeArrivals = Callable[..., list[Arrival]]


def test_a_redis_that_is_away_costs_no_batches_and_little_time(
    night: Night, make_arrivals: MakeArrivals, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """None is formed for it, sweeps go on, it is said once, and the work goes out once Redis is back."""
    settings = load_settings(None, state_dir=tmp_path)
    make_state_folder(tmp_path)
    with running_redis(settings) as (url, server), opened(night, url) as desk:
        night.register(make_arrivals(20))
        desk.dispatch_all()
        assert server.process is not None
        server.process.kill()
        server.process.wait()
        desk.worker(slots=4)
        for _ in range(5):
            asked = time.monotonic()
            desk.sweep()
            assert time.monotonic() - asked < 1
        assert night.states().count("received") == 12
        assert desk.formed() == 2
        assert [record.getMessage() for record in caplog.records].count(DOWN) == 1
        server.start()
        _until_answering(desk)
        rounds = 0
        while set(night.states()) != {"done"}:
            rounds += 1
            assert rounds < 10, night.states()
            desk.sweep()
            desk.dispatch_all()
            for batch in desk.batches():
                desk.redis.rpop(BATCH_QUEUE)
                night.analyse(Batch(id=batch, images=4))


def test_a_redis_that_hangs_holds_up_no_sweep(night: Night, make_arrivals: MakeArrivals, tmp_path: Path) -> None:
    """A stopped process takes connections and answers nothing: what its workers lost is taken back all the same."""
    settings = load_settings(None, state_dir=tmp_path)
    make_state_folder(tmp_path)
    with running_redis(settings) as (url, server), opened(night, url) as desk:
        night.register(make_arrivals(4))
        desk.dispatch_all()
        (batch,) = desk.batches()
        night.claim(Batch(id=batch, images=4))
        night.clock.advance(seconds=61)
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        try:
            asked = time.monotonic()
            desk.sweep()
            assert time.monotonic() - asked < 6
            assert set(night.states()) == {"received"}
            assert desk.formed() == 1
        finally:
            server.process.send_signal(signal.SIGCONT)


def test_a_redis_that_comes_back_is_used_within_a_second(
    night: Night, make_arrivals: MakeArrivals, tmp_path: Path
) -> None:
    """The loop asks it once a second, whatever the connections it has in hand are worth."""
    settings = load_settings(None, state_dir=tmp_path)
    make_state_folder(tmp_path)
    stop = threading.Event()
    with running_redis(settings) as (url, server), opened(night, url, poll_seconds=1) as desk:
        desk.dispatch_all()
        loop = threading.Thread(target=desk.dispatcher.run, args=(stop,))
        loop.start()
        try:
            assert server.process is not None
            server.process.kill()
            server.process.wait()
            night.register(make_arrivals(4))
            loop.join(1.5)
            assert desk.formed() == 0
            server.start()
            _until_answering(desk)
            back = time.monotonic()
            while not desk.batches():
                assert time.monotonic() - back < 3
        finally:
            stop.set()
            loop.join(10)
    assert not loop.is_alive()


def _until_answering(desk: Desk) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            desk.transport.ping()
        except RedisError:
            assert time.monotonic() < deadline
        else:
            return
