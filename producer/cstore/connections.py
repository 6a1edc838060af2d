"""Limit the TCP connections of a C-STORE receiver, so that slow or silent clients cannot keep others out."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

_CONNECTIONS_PER_ASSOCIATION = 2
"""TCP connections per allowed association. Associations beyond their limit are rejected with a reason; connections
beyond this limit are closed without a response."""
_UNLISTED = 4
"""Largest total number of open connections from addresses that are not in `callers`. It is enough to tell their senders
why they are refused."""
_REQUEST_SECONDS, _UNLISTED_SECONDS = 10.0, 2.0
"""Time in which a client must complete TLS handshake and association request (ARTIM timer, DICOM PS3.8, section 9.1.5);
the second number is for addresses that are not in `callers`."""
_GRACE_SECONDS = 0.1
"""A connection without an association is at least this old before it is closed in favour of a new connection. Only a
connection of an unlisted address is closed earlier, in favour of a listed address."""


@dataclass(eq=False, kw_only=True, slots=True)
class Connection:
    """One TCP connection, from accept to the end of its association."""

    socket: Any
    address: str
    is_listed: bool
    """Whether an association from this address may be accepted at all."""
    began_at: float
    """Time at which the connection was accepted, by time.monotonic."""
    has_association: bool = field(default=False, init=False)
    is_evicted: bool = field(default=False, init=False)
    """Whether the connection was closed in favour of a new connection."""

    def request_deadline(self, idle_seconds: float) -> float:
        """Return the time at which handshake and association request must be complete."""
        return self.began_at + min(_REQUEST_SECONDS if self.is_listed else _UNLISTED_SECONDS, idle_seconds)


class ConnectionLimits:
    """Limits the open connections: in total, per address, and for all unlisted addresses together.

    Unlisted addresses are those that are not in `callers`; their associations are refused anyway. If a limit is
    reached, a connection without an association is closed to make room, so that clients that are slow with their
    association request never keep others out. For the total limit, connections of unlisted addresses are closed first,
    and next those of the address with the most connections without an association. Otherwise the oldest is closed
    first.

    A connection gives way only if it is at least 0.1 s old and its address has at least as many connections without an
    association as the address of the new connection, which itself is not counted. A listed address may always displace
    a connection without an association of an unlisted address. If no connection gives way, the new one is refused.
    """

    def __init__(self, *, associations: int, per_address: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._associations = associations
        self._per_address = per_address
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[Any, Connection] = {}

    def admit(self, request: Any, address: str, *, is_listed: bool) -> bool:
        """Add an accepted connection. Returns False if it must be closed, because a limit leaves no place for it."""
        with self._lock:
            new = Connection(socket=request, address=address, is_listed=is_listed, began_at=self._clock())
            connections = [connection for connection in self._open.values() if not connection.is_evicted]
            waiting = Counter(one.address for one in connections if not one.has_association)
            limits = list(self._limits(new, connections, waiting))
            if all(_make_room(new, limit, group, waiting) for limit, group in limits):
                self._open[request] = new
                return True
            return False

    def of(self, request: Any) -> Connection:
        """Return an open connection by the socket with which it was admitted."""
        return self._open[request]

    def is_evicted(self, request: Any) -> bool:
        """Return whether the connection was closed in favour of a new connection."""
        connection = self._open.get(request)
        return connection is not None and connection.is_evicted

    def discard(self, request: Any) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._open.pop(request, None)

    def begin_association(self, connection: Connection) -> bool:
        """Count an association and return True, unless the total limit or that of its address is already reached."""
        with self._lock:
            established = [other for other in self._open.values() if other.has_association]
            of_address = sum(other.address == connection.address for other in established)
            if len(established) >= self._associations or of_address >= self._per_address:
                return False
            connection.has_association = True
            return True

    @property
    def associations(self) -> int:
        """Return the number of established associations."""
        with self._lock:
            return sum(connection.has_association for connection in self._open.values())

    def _limits(
        self, new: Connection, connections: Sequence[Connection], waiting: Mapping[str, int]
    ) -> Iterable[tuple[int, list[Connection]]]:
        """Yield each limit with the connections that count for it, sorted: the first connections are closed first.

        `waiting` is the number of connections without an association, by address.
        """
        if not new.is_listed:
            yield _UNLISTED, [one for one in connections if not one.is_listed]
        of_address = [one for one in connections if one.address == new.address]
        yield _CONNECTIONS_PER_ASSOCIATION * self._per_address, of_address
        by_rank = sorted(connections, key=lambda one: (one.is_listed, -waiting[one.address]))
        yield _CONNECTIONS_PER_ASSOCIATION * self._associations, by_rank


def _make_room(new: Connection, limit: int, connections: list[Connection], waiting: Mapping[str, int]) -> bool:
    if sum(not one.is_evicted for one in connections) < limit:
        return True
    oldest = next((one for one in connections if _gives_way(one, new, waiting)), None)
    if oldest is None:
        return False
    oldest.is_evicted = True
    with suppress(OSError):  # the client has just disconnected
        oldest.socket.shutdown(socket.SHUT_RDWR)
    return True


def _gives_way(old: Connection, new: Connection, waiting: Mapping[str, int]) -> bool:
    if old.has_association or old.is_evicted:
        return False
    if new.is_listed and not old.is_listed:
        return True
    is_fair = waiting[old.address] >= waiting[new.address]
    return is_fair and new.began_at - old.began_at >= _GRACE_SECONDS


class LogLimit:
    """Permits one log line per minute for each address and kind of end, since a client may connect very often."""

    _SECONDS = 60.0
    _MOST_KEYS = 1000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[tuple[str, str], float] = {}

    def permits(self, address: str, how: str) -> bool:
        """Return whether a line may be logged for this address and kind of end now."""
        now, key = self._clock(), (address, how)
        if self._next.get(key, now) > now:
            return False
        if len(self._next) >= self._MOST_KEYS:
            self._next = {other: time for other, time in self._next.items() if time > now}
        if len(self._next) >= self._MOST_KEYS:
            return False
        self._next[key] = now + self._SECONDS
        return True
