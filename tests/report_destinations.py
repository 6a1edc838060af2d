"""Destinations in this process that answer as a test says: a store with pynetdicom, and a web server."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dicom_peers import free_port
from pydicom.uid import ComprehensiveSRStorage
from pynetdicom import AE, evt

from nightread.sources import StoreDestination, StowDestination

SECONDS = 5


@contextmanager
def pacs(
    status: int = 0x0000, *, sop_class: str = ComprehensiveSRStorage, tls: ssl.SSLContext | None = None, **entity: Any
) -> Iterator[tuple[StoreDestination, list[str]]]:
    """A store that answers each report with this status, and the UIDs that it was sent."""
    got: list[str] = []

    def store(event: evt.Event) -> int:
        got.append(str(event.dataset.SOPInstanceUID))
        return status

    server = AE(ae_title="PACS")
    server.add_supported_context(sop_class)
    for name, value in entity.items():
        setattr(server, name, value)
    port = free_port()
    listening = server.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)], ssl_context=tls
    )
    try:
        yield destination(port), got
    finally:
        listening.shutdown()


def destination(port: int, **values: Any) -> StoreDestination:
    """By C-STORE."""
    return StoreDestination(
        **{"name": "pacs", "ae_title": "PACS", "address": "127.0.0.1", "port": port, "timeout_seconds": SECONDS}
        | values
    )


@contextmanager
def web(
    status: int, body: bytes = b"", *, tls: ssl.SSLContext | None = None, **headers: str
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The URL of a server that answers each POST so, and the headers that it was sent."""
    got: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(dict(self.headers))
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that trusts us not."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}", got
        server.shutdown()
        thread.join()


@contextmanager
def taker() -> Iterator[tuple[StowDestination, list[dict[str, str]]]]:
    """A destination that takes all, by the name of `pacs`, where it does not matter how."""
    with web(200) as (url, got):
        yield StowDestination(name="pacs", url=url), got
