"""Run a server on a bare socket, which sends any bytes that a test defines: what no web server would send."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\n"
JSON = OK + b"Content-Type: application/dicom+json\r\n"
CHUNKED = JSON + b"Transfer-Encoding: chunked\r\n\r\n"
SILENCE_SECONDS = 0.02


@dataclass(kw_only=True)
class RawServer:
    """The URL of a running server, the first lines of the requests, and the number of bytes that it sent."""

    url: str
    requests: list[str] = field(default_factory=list)
    sent: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def trickle(self, *pieces: bytes) -> Iterator[bytes]:
        """Yield the pieces again and again, one every 20 ms, until the test ends."""
        while True:
            for piece in pieces:
                yield piece
                if self.stop.wait(SILENCE_SECONDS):
                    return


Answer = Callable[[RawServer, str], Iterable[bytes]]
"""Returns the pieces of a response; the arguments are the server and the first line of the request."""


@contextmanager
def running_raw_server(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """Run a server on a free loopback port. It closes a connection after its response."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        server = RawServer(url=f"http{'s' if tls else ''}://127.0.0.1:{listening.getsockname()[1]}")
        threads: list[threading.Thread] = []

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.settimeout(10)
                secured = tls.wrap_socket(connection, server_side=True) if tls else connection
                with secured:
                    request = _request(secured)
                    server.requests.append(request)
                    for piece in answer(server, request):
                        secured.sendall(piece)
                        server.sent += len(piece)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    if server.stop.is_set():
                        connection.close()
                        return
                    threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                    threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            server.stop.set()
            with suppress(OSError), socket.create_connection(listening.getsockname(), timeout=5):
                pass
            for thread in (accepting, *threads):
                thread.join(10)


def _request(connection: socket.socket) -> str:
    """Read a request with its body, and return its first line without the version."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _received(connection)
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
    while len(body) < length:
        body += _received(connection)
    return lines[0].rsplit(" ", 1)[0]


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionResetError
    return data
