"""Close connections that are too slow, and connections above a limit.

uvicorn itself waits without a limit for headers, and for the rest of bodies that the application does not read.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
REFUSED_CONNECTIONS = 64


class DeadlineProtocol(H11Protocol):
    """HTTP/1.1 with deadlines and a limit of connections, against clients that are slow on purpose (slow loris).

    A client must send the headers of each request within `header_seconds`. Between requests, uvicorn's keep-alive time
    applies. If the application responds before it has read the whole body, the client has `header_seconds` from the end
    of the response to send the rest of the body, which is dropped. If the connection were closed at once, the client
    could lose the response.
    """

    header_seconds = HEADER_SECONDS
    refused_connections = REFUSED_CONNECTIONS
    """This many connections above uvicorn's limit get status 503; further connections are closed at once."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of the first request; close the connection if there are too many."""
        super().connection_made(transport)
        limit = self.limit_concurrency
        if limit is not None and len(self.connections) > limit + self.refused_connections:
            transport.abort()
        else:
            self._start()

    def data_received(self, data: bytes) -> None:
        """Stop the deadline when the headers are complete; start it when the headers of the next request begin."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE or self._is_body_left():
            self._start()
        else:
            self._stop()

    def on_response_complete(self) -> None:
        """Start the deadline for the rest of a body that the application did not read to its end."""
        super().on_response_complete()
        if self._is_body_left():
            self._start()

    def send_400_response(self, msg: str) -> None:
        """Close the connection because of an invalid request, after a response with 400 if no response has begun.

        The application sends nothing more: h11 would refuse a second response with an error.
        """
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the deadline."""
        self._stop()
        super().connection_lost(exc)

    def _is_body_left(self) -> bool:
        """Return whether the response is complete and the client has not yet sent its whole body."""
        return self.conn.their_state is h11.SEND_BODY and self.cycle is not None and self.cycle.response_complete

    def _start(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.header_seconds, self.transport.abort)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
