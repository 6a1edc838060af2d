"""Run a small real web server whose responses a test defines."""

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(kw_only=True)
class Reply:
    """One response. The parts of the body are sent one by one."""

    body: Iterable[bytes] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Request:
    """One request that the server received."""

    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass(kw_only=True)
class WebServer:
    """The URL of a running server, and the requests that it received."""

    url: str
    asked: list[Request] = field(default_factory=list)


@contextmanager
def running_web_server(answer: Callable[[Request], Reply], tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """Run a server on a free loopback port, in threads of this process."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Request(path=self.path, headers=dict(self.headers), body=body)
            server.asked.append(asked)
            reply = answer(asked)
            self.send_response(reply.status)
            for name, value in {"Connection": "close", **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.close_connection = True
            try:
                for piece in reply.body:
                    self.wfile.write(piece)
                    self.wfile.flush()
            except ConnectionError:
                return

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Ignore clients that close the connection or do not trust the certificate: some tests do this."""

    with Server(("127.0.0.1", 0), Handler) as http:
        if tls:
            http.socket = tls.wrap_socket(http.socket, server_side=True)
        server = WebServer(url=f"http{'s' if tls else ''}://127.0.0.1:{http.server_address[1]}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
