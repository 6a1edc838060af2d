"""Close connections that are too slow or too many: uvicorn waits forever for headers and for unread bodies."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
REFUSED_CONNECTIONS = 64


class DeadlineProtocol(H11Protocol):
    """HTTP/1.1 with a limit of connections and deadlines (slow loris).

    The headers of each request have a deadline; between requests uvicorn's keep-alive time counts. A body of which the
    application read only a part has the same deadline, from the end of the response: until then the client may send
    the rest, which is dropped, so that it does not lose the response.
    """

    header_seconds = HEADER_SECONDS
    refused_connections = REFUSED_CONNECTIONS
    """Beyond uvicorn's limit, this many connections are answered with 503; further ones are closed at once."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of the first request, unless there are too many connections."""
        super().connection_made(transport)
        limit = self.limit_concurrency
        if limit is not None and len(self.connections) > limit + self.refused_connections:
            transport.abort()
        else:
            self._start()

    def data_received(self, data: bytes) -> None:
        """Stop the deadline when the headers are complete; start it when those of another request begin."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE or self._is_body_left():
            self._start()
        else:
            self._stop()

    def on_response_complete(self) -> None:
        """Start the deadline of a body that the application did not read to its end."""
        super().on_response_complete()
        if self._is_body_left():
            self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the deadline."""
        self._stop()
        super().connection_lost(exc)

    def _is_body_left(self) -> bool:
        """Return whether the client still sends its body although the response is complete."""
        return self.conn.their_state is h11.SEND_BODY and self.cycle is not None and self.cycle.response_complete

    def _start(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.header_seconds, self.transport.abort)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
