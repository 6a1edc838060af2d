"""Open connections to a receiver from an address of this host, and watch how the receiver ends them."""

import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests"))

_TIMEOUT = 20.0


@dataclass(kw_only=True)
class Line:
    """Connections from one loopback address to one port, with their counts. Each kind of stranger has its own line."""

    address: str
    port: int
    stop: threading.Event
    opened: int = 0
    ended: int = 0
    """Number of connections that the receiver ended after it got at least one byte."""
    longest: float = 0.0
    """Longest time from the opening of a silent connection until the receiver ended it."""
    not_ended: int = 0
    """Number of connections that the receiver should have ended but did not end."""
    _open: list[socket.socket] = field(default_factory=list)

    def open(self, first: bytes = b"") -> socket.socket | None:
        """Connect and send the first bytes. Returns the connection, or None if the receiver has already ended it."""
        connection = socket.create_connection(("127.0.0.1", self.port), _TIMEOUT, source_address=(self.address, 0))
        self.opened += 1
        try:
            connection.sendall(first)
        except ConnectionError:
            self.ended += 1
            connection.close()
            return None
        return connection

    def crowd(self, number: int, first: bytes) -> list[socket.socket]:
        """Open several connections, without waiting for responses."""
        found = [self.open(first) for _ in range(number)]
        return [one for one in found if one is not None]

    def hold(
        self, connections: Sequence[socket.socket], *, seconds: float, feed: bytes = b"", pace: float = 1.0
    ) -> None:
        """Send `feed` on each connection every `pace` seconds, until the receiver has ended all or the time is over."""
        deadline = time.monotonic() + seconds
        waiting = list(connections)
        while waiting and time.monotonic() < deadline and not self.stop.is_set():
            ended = [one for one in _readable(waiting, pace) if _is_ended(one)]
            for one in waiting:
                if one not in ended and feed and not _sends(one, feed):
                    ended.append(one)
            self.ended += len(ended)
            waiting = [one for one in waiting if one not in ended]
        if not self.stop.is_set():
            self.not_ended += len(waiting)
        for one in connections:
            one.close()

    def wait_for_end(self, connection: socket.socket) -> bool:
        """Read until the receiver ends the connection. Returns False if no data and no end came for 20 s."""
        with connection, suppress(TimeoutError):
            if _is_ended_by_reading(connection):
                self.ended += 1
                return True
        return False


def reset(connection: socket.socket) -> None:
    """End a connection at once with a TCP reset (RST)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _readable(connections: Sequence[socket.socket], seconds: float) -> list[socket.socket]:
    with selectors.DefaultSelector() as selector:
        for one in connections:
            selector.register(one, selectors.EVENT_READ)
        found = [key.fileobj for key, _ in selector.select(seconds)]
    return [one for one in connections if one in found]


def _is_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(65536) == b""
    except OSError:
        return True


def _is_ended_by_reading(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return True  # the receiver has aborted the association, which ends it as well
    return True


def _sends(connection: socket.socket, data: bytes) -> bool:
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True
