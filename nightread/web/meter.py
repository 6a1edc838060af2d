"""Limit time and size of a response while its bytes arrive, from the first byte of the header to the last trailer."""

import io
import socket
import time
from collections.abc import Callable
from http import client
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from nightread.web.errors import CUT_SHORT, TooMuchError, UnavailableError

HEAD_BYTES = 128 * 1024
"""Limit of status lines and headers, interim responses (1xx) included. Web servers send at most a few KiB."""
SLOWEST_BYTES_PER_SECOND = 64 * 1024
"""A slower server counts as unavailable, so that it cannot occupy a connection for ever."""
LONGEST_SECONDS = 3600.0
"""A response that takes longer fails, whatever its size. 2 GiB, the default of max_file_bytes, then need 600 KB/s."""
_FRAMING = 8
"""Bytes that may arrive for each byte of the body. A chunk with one byte of the body has six bytes."""


class ResponseMeter:
    """The time and the bytes that one response may still take.

    The header has `seconds` from the end of the request. The body has `seconds` from the end of the header, and one
    second more for each 64 KiB of its content, which the caller reports. Only content extends the time: chunk
    extensions, trailers, empty compressed blocks and single bytes now and then do not.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start the time within which the header must arrive."""
        self._seconds = seconds
        self._monotonic = monotonic
        self._began = monotonic()
        self._deadline = self._began + seconds
        self._bytes_left = HEAD_BYTES
        self._max_bytes: int | None = None

    def begin_body(self, max_bytes: int) -> None:
        """Begin the body, which may have `max_bytes` of content."""
        self._max_bytes = max_bytes
        self._bytes_left = HEAD_BYTES + _FRAMING * max_bytes
        now = self._monotonic()
        self._latest = now + LONGEST_SECONDS
        self._deadline = now + self._seconds

    def content(self, count: int) -> None:
        """Extend the deadline by one second for each 64 KiB of these `count` bytes of content.

        Raises UnavailableError if the deadline has passed nevertheless.
        """
        self._deadline = min(self._latest, self._deadline + count / SLOWEST_BYTES_PER_SECOND)
        self.seconds_left()

    def received(self, count: int) -> None:
        """Count bytes that arrived; 0 means that the connection was closed. Raises WebError beyond the limit.

        A header that is cut short is an error too: http.client would treat it as complete.
        """
        if not count and self._max_bytes is None and self._bytes_left < HEAD_BYTES:
            raise UnavailableError(CUT_SHORT)
        self._bytes_left -= count
        if self._bytes_left >= 0:
            return
        if self._max_bytes is None:
            raise UnavailableError(f"sent headers of more than {HEAD_BYTES} bytes")
        raise TooMuchError(f"sent more than {self._max_bytes} bytes")

    def seconds_left(self) -> float:
        """Return how long to wait for the next byte. Raises UnavailableError if no time is left."""
        left = self._deadline - self._monotonic()
        if left <= 0:
            raise self.too_slow()
        return min(left, self._seconds)

    def too_slow(self) -> UnavailableError:
        """Return the error of a response that takes too long."""
        if self._max_bytes is None:
            return UnavailableError(f"does not answer within {self._seconds:g} s")
        if self._deadline >= self._latest:
            return UnavailableError(f"needs more than {LONGEST_SECONDS:g} s for one response")
        return UnavailableError(f"sent less than {SLOWEST_BYTES_PER_SECOND} bytes per second")


class _MeteredReader(io.RawIOBase):
    """Reads from a socket; each read must end within the time that the meter leaves."""

    def __init__(self, meter: ResponseMeter, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._meter = meter
        self._sock = sock
        self._raw = raw

    def readable(self) -> bool:
        """Implement RawIOBase.readable."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Implement RawIOBase.readinto.

        Raises WebError if the response exceeds its limit of time or bytes, or if its header is cut short.
        """
        self._sock.settimeout(self._meter.seconds_left())
        try:
            count: int | None = self._raw.readinto(buffer)
        except TimeoutError:
            raise self._meter.too_slow() from None
        self._meter.received(count or 0)
        return count

    def close(self) -> None:
        """Implement RawIOBase.close."""
        self._raw.close()
        super().close()


class _MeteredResponse(client.HTTPResponse):
    def __init__(self, meter: ResponseMeter, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_MeteredReader(meter, sock, self.fp.detach()))


class MeteredConnection(HTTPConnection):
    """A connection whose responses are metered; `meter` is the meter of the latest response."""

    meter: ResponseMeter

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
        """Begin a meter and read the header. Raises WebError."""
        self.meter = ResponseMeter(float(self.timeout or 0))
        opened: list[_MeteredResponse] = []

        def open_response(*arguments: Any, **options: Any) -> _MeteredResponse:
            opened.append(_MeteredResponse(self.meter, *arguments, **options))
            return opened[0]

        self.response_class = open_response  # type: ignore[assignment]
        try:
            return super().getresponse()
        except BaseException:
            for response in opened:  # a response keeps the socket open; urllib3 closes it for some errors only
                response.close()
            raise


class MeteredTlsConnection(MeteredConnection, HTTPSConnection):
    """A MeteredConnection with TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = MeteredConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = MeteredTlsConnection


def metered_pool(**options: Any) -> PoolManager:
    """Return a pool whose connections are metered; the options are those of urllib3.PoolManager."""
    pool = PoolManager(**options)
    pool.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return pool
