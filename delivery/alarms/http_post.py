"""Send one HTTP request. This uses only the standard library, so that the watchdog needs no further package.

Redirects are not followed and proxies are not used, so that the request reaches only the host of the URL.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

_ANSWER_BYTES = 4096
_OK = range(200, 300)


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float) -> str | None:
    """Send a POST request. Return why it failed, or None if the server answered with a status of 200 to 299.

    The reason names no part of the URL, which may hold a secret. The request ends even if the server is very slow.
    """
    timers: list[threading.Timer] = []
    connection: http.client.HTTPConnection | None = None
    try:
        parts = urlsplit(url)
        connection = _connection(parts, timeout_seconds)
        timers.append(_started_timer(timeout_seconds, connection))
        connection.connect()
        timers.append(_started_timer(timeout_seconds, connection))
        path = parts.path or "/"
        connection.request("POST", f"{path}?{parts.query}" if parts.query else path, body, dict(headers))
        response = connection.getresponse()
        response.read(_ANSWER_BYTES)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return type(error).__name__
    finally:
        for timer in timers:
            timer.cancel()
        if connection is not None:
            connection.close()
    return None if response.status in _OK else f"status {response.status}"


def _connection(parts: SplitResult, timeout_seconds: float) -> http.client.HTTPConnection:
    """Return a connection that is not open yet. Raises ValueError and http.client.InvalidURL for a wrong URL."""
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout_seconds, context=context)
    return http.client.HTTPConnection(host, parts.port, timeout=timeout_seconds)


def _started_timer(seconds: float, connection: http.client.HTTPConnection) -> threading.Timer:
    timer = threading.Timer(seconds, _abort, [connection])
    timer.daemon = True
    timer.start()
    return timer


def _abort(connection: http.client.HTTPConnection) -> None:
    """End a request that a slow server keeps open: the timeout of the socket starts again with each byte."""
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
