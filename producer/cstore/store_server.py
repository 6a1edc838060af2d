"""The TCP side of a C-STORE receiver: TLS, timeouts and limits, before a byte of DICOM is believed."""

import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable
from typing import Any, cast

from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from nightread.errors import UsageFault
from nightread.sources import ReceiverSource, Tls
from producer.cstore.dimse import SpoolingDimse

log = logging.getLogger(__name__)

_PDU_BYTES = 1024**2
"""No PDU may be longer, whatever its sender says: an association request may be, P-DATA never (pdu_bytes)."""
_CHUNK = 256 * 1024
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
_STRANGERS = 2
"""Connections for each association that is allowed: the ones beyond are told so, those beyond that are closed."""
_AT_ONCE_SECONDS = 2.0
_REQUEST_SECONDS = 10.0
"""Who connects must say within this time what for (ARTIM, DICOM PS3.8, section 9.1.5)."""


class StoreServer(ThreadedAssociationServer):
    """Accepts connections, each in a thread of its own, which also waits for the end of its association."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        *arguments: Any,
        source: ReceiverSource,
        make_dimse: Callable[[Association], SpoolingDimse],
        on_end: Callable[[Association], None],
        **options: Any,
    ) -> None:
        self.tls = tls_context(source.tls) if source.tls else None
        self.idle_seconds = source.idle_seconds
        self.make_dimse = make_dimse
        self.on_end = on_end
        self._most = _STRANGERS * source.associations
        self._connections = set[Any]()
        try:
            super().__init__(*arguments, **options | {"request_handler": _Connection})
        except OSError as error:
            raise UsageFault(
                f"The receiver cannot listen on {source.address} port {source.port} "
                f"({error.strerror or type(error).__name__}): is another program there, or may this user not?"
            ) from None

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - socketserver's signature
        """Close connections at once that could not even be answered."""
        return len(self._connections) < self._most

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Count a connection from its first moment: a silent TLS handshake is no association yet."""
        self._connections.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log a connection that ended before its association began, without what was sent."""
        log.warning(
            "a connection failed",
            extra={"address": client_address[0], "error": type(sys.exception() or Exception()).__name__},
        )

    def end(self) -> None:
        """Stop listening and end all associations, soon: what was not answered, its sender still has."""
        self.shutdown()
        going = self.active_associations
        for association in going:
            association.abort(block=False)
        deadline = time.monotonic() + _AT_ONCE_SECONDS
        for association in going:
            association.join(max(0.0, deadline - time.monotonic()))
            connection = association.dul.socket
            if association.is_alive() and connection is not None:
                connection._shutdown_socket()  # noqa: SLF001 - a peer that neither answers nor goes


class _Connection(RequestHandler):
    """One connection, from TCP's accept to the end of its association."""

    server: StoreServer

    def setup(self) -> None:
        """Timeouts and TLS. In this thread: a client that connects and is silent must hold up nobody else."""
        request = cast("socket.socket", self.request)
        request.settimeout(min(_REQUEST_SECONDS, self.server.idle_seconds))
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.server.tls is not None:
            self.request = self.server.tls.wrap_socket(request, server_side=True)
        self.request.settimeout(self.server.idle_seconds)

    def handle(self) -> None:
        """Run the association in its thread, and clean up after it however it ends."""
        association = self._create_association()
        association.dimse = self.server.make_dimse(association)
        # Who connects in the very moment in which the receiver ends must not hold up the end of its process.
        association.dul.daemon = True
        connection = cast("AssociationSocket", association.dul.socket)
        connection.recv = _Reader(connection).recv  # type: ignore[method-assign]
        association.start()
        association.join()
        self.server.on_end(association)


class _Reader:
    """AssociationSocket.recv with a limit, with fewer system calls, and with acknowledgements at once.

    A sender under Nagle's algorithm (DCMTK as Debian builds it) writes a PDU's head, and then its body only once the
    head is acknowledged. Linux would take 40 ms for that: 25 images per second and association at most.
    """

    def __init__(self, connection: AssociationSocket) -> None:
        self._connection = connection

    def recv(self, nr_bytes: int) -> bytearray:
        """So many bytes, fewer where the connection ends before. Raises OSError for more than any PDU may have."""
        if nr_bytes > _PDU_BYTES:
            raise OSError("a PDU is longer than any may be")
        peer = cast("socket.socket", self._connection.socket)
        received, read = bytearray(nr_bytes), 0
        view = memoryview(received)
        while read < nr_bytes:
            if _QUICKACK is not None:
                peer.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)  # the kernel forgets it again
            count = peer.recv_into(view[read : read + _CHUNK])
            if not count:
                break
            read += count
        view.release()
        del received[read:]
        return received


def tls_context(tls: Tls) -> ssl.SSLContext:
    """TLS 1.2 or newer with our certificate; with `require_client` callers must show one too. Raises UsageFault."""
    if tls.certificate is None:
        raise UsageFault("A receiver with `tls` needs a `certificate` (and its `key`, unless the file holds both).")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(
            tls.certificate, tls.key, password=""
        )  # not given, it would be asked for on the terminal
        if tls.require_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(tls.ca) if tls.ca else context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    except (OSError, ValueError) as error:
        raise UsageFault(
            f"The receiver's certificate {tls.certificate}, its key or its authorities cannot be used "
            f"({type(error).__name__}): PEM files are needed, readable for this user, the key without a password."
        ) from None
    return context


def make_entity(source: ReceiverSource) -> ApplicationEntity:
    """The application entity with its limits."""
    entity = ApplicationEntity(source.ae_title)
    entity.maximum_associations = source.associations
    entity.maximum_pdu_size = source.pdu_bytes
    entity.network_timeout = source.idle_seconds
    entity.dimse_timeout = source.idle_seconds
    entity.acse_timeout = min(_REQUEST_SECONDS, source.idle_seconds)
    return entity
