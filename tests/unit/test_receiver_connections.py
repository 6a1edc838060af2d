"""The deadlines and limits of connections to a receiver, with a clock that the tests set."""

from dataclasses import dataclass, field

import pytest
from monotonic import ManualMonotonic

from nightread.sources import ReceiverSource
from producer.cstore.connections import Connection, ConnectionLimits
from producer.cstore.store_server import StoreServer

BEGAN = 1000.0
PROMISED_SECONDS = 12.0
"""docs/security.md promises that a silent connection is closed within this time."""
HONEST, CROWD = "10.0.0.1", "10.0.0.99"


@dataclass(eq=False)
class FakeSocket:
    """A connection that remembers whether it was shut down."""

    ended: list[int] = field(default_factory=list)

    def shutdown(self, how: int) -> None:
        """Implement socket.shutdown."""
        self.ended.append(how)


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("idle_seconds", [ReceiverSource(name="ct").idle_seconds, 3600.0, 1.0])
def test_a_silent_connection_has_less_than_the_promised_time(is_listed: bool, idle_seconds: float) -> None:
    """Whatever `idle_seconds` is, and less for addresses that may not send."""
    connection = Connection(socket=None, address="10.0.0.1", is_listed=is_listed, began_at=BEGAN)
    seconds = connection.request_deadline(idle_seconds) - BEGAN
    assert 0 < seconds <= (PROMISED_SECONDS if is_listed else 3)


def test_connections_beyond_the_limits_are_closed_at_once() -> None:
    """The ninth connection that has come in the same moment as the others finds no room."""
    limits = ConnectionLimits(associations=4, per_address=4, clock=lambda: BEGAN)
    admitted = [limits.admit(object(), f"10.0.0.{number}", is_listed=True) for number in range(9)]
    assert admitted == [True] * 8 + [False]


def test_a_crowd_displaces_no_connection_of_an_address_that_holds_fewer() -> None:
    """A slow but honest caller keeps its place, however many connections another allowed address opens."""
    clock = ManualMonotonic()
    limits = ConnectionLimits(associations=4, per_address=3, clock=clock)
    honest = FakeSocket()
    assert limits.admit(honest, HONEST, is_listed=True)
    for _ in range(40):
        clock.now += 1
        limits.admit(FakeSocket(), CROWD, is_listed=True)
    assert honest.ended == []
    assert limits.begin_association(limits.of(honest))


def test_a_caller_displaces_the_oldest_of_a_crowd() -> None:
    """All places are taken; the address that holds most of them loses its oldest connection."""
    clock = ManualMonotonic()
    limits = ConnectionLimits(associations=4, per_address=4, clock=clock)
    crowd = [FakeSocket() for _ in range(7)]
    single = FakeSocket()
    assert limits.admit(single, "10.0.0.2", is_listed=True)
    for one in crowd:
        clock.now += 1
        assert limits.admit(one, CROWD, is_listed=True)
    clock.now += 1
    assert limits.admit(FakeSocket(), HONEST, is_listed=True)
    assert [bool(one.ended) for one in crowd] == [True] + [False] * 6
    assert single.ended == []


def test_a_crowd_fits_into_the_queue_of_connections() -> None:
    """Connections that find the queue full wait for 1 s and more until their system tries again."""
    assert StoreServer.request_queue_size >= 1024
