"""Accept TCP connections for a C-STORE receiver, with TLS, timeouts and limits."""

import logging
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from nightread.errors import UsageFault
from nightread.sources import ReceiverSource, Tls
from producer.cstore.association_end import ABORTED, REJECTED, TOO_SLOW
from producer.cstore.association_request import AssociationRequest
from producer.cstore.connections import Connection, ConnectionLimits, LogLimit
from producer.cstore.dimse import SpoolingDimse
from producer.cstore.other_services import refuse_other_services
from producer.cstore.reading import PduReader

log = logging.getLogger(__name__)

_ABORT_SECONDS = 2.0
_REQUEST_SECONDS = 10.0
_LEAST_SECONDS = 0.001
"""Shortest timeout of a socket. A timeout of 0 would make the socket non-blocking."""
_NO_LIMIT = 1_000_000
"""Limit of associations for pynetdicom, which is never reached: pynetdicom would also count connections without an
association. The true limits are checked by ConnectionLimits."""


class StoreServer(ThreadedAssociationServer):
    """Handles each connection in its own thread, which also waits for the end of the association."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024
    """Number of connections that may wait to be accepted. If the queue is full, the system drops the first packet of a
    new client, which tries again after 1 s and 3 s."""

    def __init__(
        self,
        *arguments: Any,
        source: ReceiverSource,
        make_dimse: Callable[[Association, Connection], SpoolingDimse],
        on_end: Callable[[Association], None],
        on_failure: Callable[[str, str], None],
        is_listed: Callable[[str], bool],
        is_refused: Callable[[AssociationRequest, str], bool],
        **options: Any,
    ) -> None:
        self.limits = ConnectionLimits(associations=source.associations, per_address=source.address_limit)
        self.is_refused = is_refused
        self._is_listed = is_listed
        self.log_limit = LogLimit()
        self.tls = tls_context(source.tls) if source.tls else None
        self.idle_seconds = source.idle_seconds
        self.make_dimse = make_dimse
        self.on_end = on_end
        self._on_failure = on_failure
        self._start_lock = threading.Lock()
        self._ending = False
        try:
            super().__init__(*arguments, **options | {"request_handler": _Connection})
        except OSError as error:
            raise UsageFault(
                f"The receiver cannot listen on {source.address} port {source.port} "
                f"({error.strerror or type(error).__name__}). Free the port, or choose another port or address."
            ) from None

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return False if the limits leave no room for the connection; the server then closes it at once."""
        address = str(client_address[0])
        if self.limits.admit(request, address, is_listed=self._is_listed(address)):
            return True
        self._note_refused(address)
        return False

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Count the connection until its end, also while it has no association, as during a TLS handshake."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.limits.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a connection that failed before its association began. The log holds no received data.

        The failure is counted, unless the client only closed the connection, as a load balancer does to check the port.
        """
        address, error = str(client_address[0]), sys.exception() or Exception()
        if self.limits.is_evicted(request):
            self._note_refused(address)
            return
        self.limits.discard(request)  # its thread may not have started
        if self.log_limit.permits(address, ABORTED):
            log.warning(
                "a connection failed before its association began",
                extra={"address": address, "error": type(error).__name__},
            )
        if not isinstance(error, ssl.SSLEOFError | ConnectionError):
            self._on_failure(address, TOO_SLOW if isinstance(error, TimeoutError) else ABORTED)

    def _note_refused(self, address: str) -> None:
        if self.log_limit.permits(address, REJECTED):
            log.warning("a connection was closed, since too many are open", extra={"address": address})
        self._on_failure(address, REJECTED)

    def start_association(self, association: Association) -> bool:
        """Start the thread of an association, unless the server ends. Return whether it was started."""
        with self._start_lock:
            if not self._ending:
                association.start()
            return not self._ending

    def end(self) -> None:
        """Stop listening and end all associations within 2 s; their senders keep images without a response."""
        with self._start_lock:  # from here on no association starts, and each started association can be joined
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
        self.connection = self.server.limits.of(self.request)
        self.deadline = self.connection.request_deadline(self.server.idle_seconds)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # pynetdicom sets no timeout for sending; the reader sets its own timeouts.
        self.request.settimeout(self.server.idle_seconds)
        if self.server.tls is not None:
            self._handshake(self.server.tls)

    def _handshake(self, tls: ssl.SSLContext) -> None:
        self.request = tls.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        self.connection.socket = self.request
        self.request.settimeout(self._seconds_to_deadline())
        try:
            self.request.do_handshake()
        except OSError:
            self.request.close()
            raise
        self.request.settimeout(self.server.idle_seconds)

    def _seconds_to_deadline(self) -> float:
        return max(self.deadline - time.monotonic(), _LEAST_SECONDS)

    def handle(self) -> None:
        """Run the association in its thread, and clean up however it ends."""
        association = self._create_association()
        association.dimse = dimse = self.server.make_dimse(association, self.connection)
        refuse_other_services(association, dimse.count_refused_request)
        # A client that connects while the receiver stops must not delay the end of the process.
        association.dul.daemon = True
        association.acse_timeout = self._seconds_to_deadline()  # for a client that sends nothing at all
        PduReader(
            association,
            request_deadline=self.deadline,
            idle_seconds=self.server.idle_seconds,
            is_refused=lambda request: self.server.is_refused(request, self.connection.address),
        ).attach(association)
        if not self.server.start_association(association):
            self.request.close()
            return
        association.join()
        self.server.on_end(association)


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
    entity.maximum_associations = _NO_LIMIT
    entity.maximum_pdu_size = source.pdu_bytes
    entity.network_timeout = source.idle_seconds
    entity.dimse_timeout = source.idle_seconds
    entity.acse_timeout = min(_REQUEST_SECONDS, source.idle_seconds)
    return entity
