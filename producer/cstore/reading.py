"""Read PDUs from the connection of an association: with limits of length and time, and without busy waiting."""

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from producer.cstore.association_request import (
    ASSOCIATE_RQ,
    AssociationRequest,
    read_request,
    refusable_request,
    without_unknown_items,
)
from producer.cstore.dimse import SpoolingDimse

_PDU_BYTES = 1024**2
"""No PDU may be longer than this. The setting `pdu_bytes` limits P-DATA further."""
_PDU_SECONDS = 30.0
"""A PDU must arrive within this time, even if its bytes keep coming."""
_CHUNK = 256 * 1024
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
_HEADER_BYTES = 6
_CLOSED = "Sta1"
"""State without a connection (DICOM PS3.8, table 9-10)."""
_IDLE_AFTER, _IDLE_WAIT = 0.2, 0.2
"""After `_IDLE_AFTER` seconds without data, the threads of an association wait up to `_IDLE_WAIT` seconds for work, and
so look for it 5 times per second instead of 1,000 times. New data end the wait at once."""


class PduReader:
    """Replaces AssociationSocket.recv: with limits, fewer system calls, and immediate acknowledgements.

    A sender with Nagle's algorithm (DCMTK as Debian builds it) writes the header of a PDU, and its body only after the
    header is acknowledged. Linux delays this acknowledgement by 40 ms, which allows only 25 images per second.
    """

    def __init__(
        self,
        association: Association,
        *,
        request_deadline: float,
        idle_seconds: float,
        is_refused: Callable[[AssociationRequest], bool],
    ) -> None:
        """`request_deadline` (time.monotonic) is the time at which the association request must be complete.

        If `is_refused` returns True for the request, it is replaced by a minimal request that is cheap to negotiate.
        """
        self._dul = association.dul
        self._connection = cast("AssociationSocket", association.dul.socket)
        self._dimse = cast("SpoolingDimse", association.dimse)
        self._idle_seconds = idle_seconds
        self._pdu_seconds = min(_PDU_SECONDS, idle_seconds)
        self._deadline = request_deadline
        self._is_refused = is_refused
        self._body: bytearray | None = None
        """Body of the association request, which was read together with its header."""
        self._awaits_body = False
        self._has_request = False
        self._data_at = time.monotonic()
        self._has_data = threading.Event()

    def attach(self, association: Association) -> None:
        """Replace methods of the association by methods of this object, because pynetdicom has no hooks for this."""
        dul, machine = association.dul, association.dul.state_machine
        is_transport_event, do_action = dul._is_transport_event, machine.do_action  # noqa: SLF001

        def wait_for_transport_event() -> bool:
            self._wait_for_data()
            return is_transport_event()

        def act_and_wake(event: str) -> None:
            do_action(event)
            self._end_wait_for_request(is_closed=machine.current_state == _CLOSED)

        self._connection.recv = self.recv  # type: ignore[method-assign]
        dul._is_transport_event = wait_for_transport_event  # type: ignore[method-assign] # noqa: SLF001
        machine.do_action = act_and_wake  # type: ignore[method-assign]
        association._reactor_checkpoint = _Checkpoint(self)  # noqa: SLF001

    def recv(self, nr_bytes: int) -> bytearray:
        """Return this many bytes, or fewer if the connection ends. Raises OSError for a PDU that is too long or slow.

        pynetdicom calls this method first for the header of a PDU and then for its body. The AE titles of a request
        are read here, because pynetdicom aborts some requests without reporting who sent them.
        """
        if self._awaits_body:
            self._awaits_body = False
            body, self._body = self._body, None
            return self._read(nr_bytes) if body is None else body
        if self._dimse.request is not None:
            self._deadline = time.monotonic() + self._pdu_seconds
        header = self._read(nr_bytes)
        self._dimse.has_data = self._dimse.has_data or bool(header)
        self._awaits_body = len(header) == _HEADER_BYTES
        if self._awaits_body and header[0] == ASSOCIATE_RQ:
            self._read_request(header)
        return header

    @property
    def is_idle(self) -> bool:
        """Return whether no data has come for 0.2 s and no response is due."""
        return time.monotonic() - self._data_at > _IDLE_AFTER and not self._dimse.owes_response

    def wait_for_work(self) -> None:
        """Wait up to 0.2 s if the association is idle. Data that arrive end the wait."""
        if self.is_idle:
            self._has_data.wait(_IDLE_WAIT)
        self._has_data.clear()

    def _end_wait_for_request(self, *, is_closed: bool) -> None:
        """Wake the thread that waits for an association request, if the connection was closed without one.

        Otherwise the thread would stay until the deadline, and clients that connect and disconnect would fill the
        limits.
        """
        if is_closed and not self._has_request:
            self._dul.to_user_queue.put(None)

    def _wait_for_data(self) -> None:
        """Wait up to 0.2 s for data if the association is idle."""
        peer = self._connection.socket
        if peer is None or not self.is_idle or (isinstance(peer, ssl.SSLSocket) and peer.pending()):
            return
        poll = select.poll()
        with suppress(OSError, ValueError):  # the connection is closed, which pynetdicom finds out next
            poll.register(peer, select.POLLIN)
            poll.poll(1000 * _IDLE_WAIT)

    def _read_request(self, header: bytearray) -> None:
        """Read the body of an association request. If it is replaced by another body, adapt the length in `header`."""
        announced = int.from_bytes(header[2:])
        self._body = self._read(announced)
        self._dimse.request = request = read_request(self._body)
        self._has_request = len(self._body) == announced
        if self._has_request:
            is_refused = self._is_refused(request)
            self._body = refusable_request(self._body) if is_refused else without_unknown_items(self._body)
            header[2:] = len(self._body).to_bytes(4)

    def _read(self, nr_bytes: int) -> bytearray:
        if nr_bytes > _PDU_BYTES:
            raise OSError(f"a PDU is longer than {_PDU_BYTES} bytes")
        peer = cast("socket.socket", self._connection.socket)
        received, read = bytearray(nr_bytes), 0
        view = memoryview(received)
        while read < nr_bytes:
            if _QUICKACK is not None:
                peer.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)  # the kernel resets it
            peer.settimeout(self._seconds_left())
            try:
                count = peer.recv_into(view[read : read + _CHUNK])
            except TimeoutError:
                self._dimse.is_too_slow = True
                raise
            if not count:
                break
            read += count
        peer.settimeout(self._idle_seconds)  # timeout for sending the next response
        self._data_at = time.monotonic()
        self._has_data.set()
        view.release()
        del received[read:]
        return received

    def _seconds_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._dimse.is_too_slow = True
            raise TimeoutError
        return left


class _Checkpoint(threading.Event):
    """Replaces an event for which pynetdicom's loop waits 1,000 times per second.

    With this class, `wait` lasts up to 0.2 s while the association is idle.
    """

    def __init__(self, reader: PduReader) -> None:
        super().__init__()
        self._reader = reader
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        self._reader.wait_for_work()
        return super().wait(timeout)
