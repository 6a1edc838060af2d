"""Accept TCP connections for a C-STORE receiver, with TLS, timeouts and limits."""

import logging
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, cast

from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from nightread.errors import UsageFault
from nightread.sources import ReceiverSource, Tls
from producer.cstore.association_request import read_request
from producer.cstore.dimse import SpoolingDimse
from producer.cstore.other_services import refuse_other_services

log = logging.getLogger(__name__)

_PDU_BYTES = 1024**2
"""No PDU may be longer than this. The setting `pdu_bytes` limits P-DATA further, but not an association request."""
_CHUNK = 256 * 1024
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
_CONNECTIONS_PER_ASSOCIATION = 2
"""TCP connections per allowed association. Associations beyond their limit are rejected with a reason; connections
beyond this limit are closed without a response."""
_ASSOCIATE_RQ = 0x01
_ABORT_SECONDS = 2.0
_REQUEST_SECONDS = 10.0
"""Time in which a client must send its association request (ARTIM timer, DICOM PS3.8, section 9.1.5)."""


class StoreServer(ThreadedAssociationServer):
    """Handles each connection in its own thread, which also waits for the end of the association."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        *arguments: Any,
        source: ReceiverSource,
        make_dimse: Callable[[Association], SpoolingDimse],
        on_end: Callable[[Association], None],
        on_failure: Callable[[str, str], None],
        **options: Any,
    ) -> None:
        self.tls = tls_context(source.tls) if source.tls else None
        self.idle_seconds = source.idle_seconds
        self.make_dimse = make_dimse
        self.on_end = on_end
        self._on_failure = on_failure
        self._max_connections = _CONNECTIONS_PER_ASSOCIATION * source.associations
        self._connections = set[Any]()
        self._start_lock = threading.Lock()
        self._ending = False
        try:
            super().__init__(*arguments, **options | {"request_handler": _Connection})
        except OSError as error:
            raise UsageFault(
                f"The receiver cannot listen on {source.address} port {source.port} "
                f"({error.strerror or type(error).__name__}). Free the port, or choose another port or address."
            ) from None

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - socketserver's signature
        """Return False to close a connection beyond the limit at once."""
        if len(self._connections) < self._max_connections:
            return True
        log.warning("a connection was closed, since there are too many", extra={"address": client_address[0]})
        self._on_failure(client_address[0], "rejected")
        return False

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Count the connection from its start, since a TLS handshake that hangs is not an association yet."""
        self._connections.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log a connection that failed before its association began, without any received data.

        It is counted unless the client just closed it, as a load balancer does that checks the port.
        """
        error = sys.exception() or Exception()
        log.warning(
            "a connection failed before its association began",
            extra={"address": client_address[0], "error": type(error).__name__},
        )
        if not isinstance(error, ssl.SSLEOFError | ConnectionError):
            self._on_failure(client_address[0], "aborted")

    def start_association(self, association: Association) -> bool:
        """Start the thread of an association, unless the server ends. Return whether it was started."""
        with self._start_lock:
            if not self._ending:
                association.start()
            return not self._ending

    def end(self) -> None:
        """Stop listening and end all associations within 2 s; their senders keep images without a response."""
        with self._start_lock:  # from here on no association starts, and each that was started can be joined
            self._ending = True
        self.shutdown()
        active = self.active_associations
        for association in active:
            association.abort(block=False)
        deadline = time.monotonic() + _ABORT_SECONDS
        for association in active:
            association.join(max(0.0, deadline - time.monotonic()))
            connection = association.dul.socket
            if association.is_alive() and connection is not None:
                connection._shutdown_socket()  # noqa: SLF001 - the peer neither responds nor disconnects


class _Connection(RequestHandler):
    """Handles one connection, from TCP accept to the end of its association."""

    server: StoreServer

    def setup(self) -> None:
        """Set timeouts and negotiate TLS, in this thread, so that a silent client does not block other clients."""
        request = cast("socket.socket", self.request)
        request.settimeout(min(_REQUEST_SECONDS, self.server.idle_seconds))
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.server.tls is not None:
            self.request = self.server.tls.wrap_socket(request, server_side=True)
        self.request.settimeout(self.server.idle_seconds)

    def handle(self) -> None:
        """Run the association in its thread, and clean up after any end."""
        association = self._create_association()
        association.dimse = dimse = self.server.make_dimse(association)
        refuse_other_services(association, dimse.count_refused_request)
        # A client that connects while the receiver stops must not delay the end of the process.
        association.dul.daemon = True
        connection = cast("AssociationSocket", association.dul.socket)
        connection.recv = _Reader(connection, dimse).recv  # type: ignore[method-assign]
        if not self.server.start_association(association):
            self.request.close()
            return
        association.join()
        self.server.on_end(association)


class _Reader:
    """Replaces AssociationSocket.recv: with a length limit, fewer system calls, and immediate acknowledgements.

    A sender with Nagle's algorithm (DCMTK as Debian builds it) writes the header of a PDU, and its body only after the
    header is acknowledged. Linux delays that by 40 ms, which limits an association to 25 images per second.
    """

    def __init__(self, connection: AssociationSocket, dimse: SpoolingDimse) -> None:
        self._connection = connection
        self._dimse = dimse
        self._pdu_type: int | None = None
        """Type of the PDU whose header was read, and whose body comes next; None: a header comes next."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Return this many bytes, or fewer if the connection ends. Raises OSError if they exceed the longest PDU.

        pynetdicom calls it for the header of a PDU and for its body by turns. The AE titles of an association request
        are read here, because pynetdicom aborts some requests before anybody learns who sent them.
        """
        if self._pdu_type is None:
            header = self._read(nr_bytes)
            self._pdu_type = header[0] if header else None
            self._dimse.has_data = self._dimse.has_data or bool(header)
            return header
        pdu_type, self._pdu_type = self._pdu_type, None
        body = self._read(nr_bytes)
        if pdu_type == _ASSOCIATE_RQ:
            self._dimse.request = read_request(body)
        return body

    def _read(self, nr_bytes: int) -> bytearray:
        if nr_bytes > _PDU_BYTES:
            raise OSError(f"a PDU is longer than {_PDU_BYTES} bytes")
        peer = cast("socket.socket", self._connection.socket)
        received, read = bytearray(nr_bytes), 0
        view = memoryview(received)
        while read < nr_bytes:
            if _QUICKACK is not None:
                peer.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)  # the kernel resets it
            count = peer.recv_into(view[read : read + _CHUNK])
            if not count:
                break
            read += count
        view.release()
        del received[read:]
        return received


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return a context for TLS 1.2 or newer; with `require_client` callers must present a certificate.

    Raises UsageFault for missing or unusable files.
    """
    if tls.certificate is None:
        raise UsageFault("A receiver with `tls` needs a `certificate`, and a `key` unless the file contains both.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(
            tls.certificate, tls.key, password=""
        )  # without it, OpenSSL asks for a password on the terminal
        if tls.require_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(tls.ca) if tls.ca else context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    except (OSError, ValueError) as error:
        raise UsageFault(
            f"The receiver's certificate {tls.certificate}, its key or its CA file cannot be used "
            f"({type(error).__name__}). Provide PEM files that this user can read, and a key without a password."
        ) from None
    return context


def make_entity(source: ReceiverSource) -> ApplicationEntity:
    """Return the application entity with the limits of its settings."""
    entity = ApplicationEntity(source.ae_title)
    entity.maximum_associations = source.associations
    entity.maximum_pdu_size = source.pdu_bytes
    entity.network_timeout = source.idle_seconds
    entity.dimse_timeout = source.idle_seconds
    entity.acse_timeout = min(_REQUEST_SECONDS, source.idle_seconds)
    return entity
