"""Run report destinations in this process: a C-STORE SCP with pynetdicom, and a web server."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydicom.uid import ComprehensiveSRStorage
from pynetdicom import AE, _config, evt

from nightread.sources import StoreDestination, StowDestination

SECONDS = 5


@contextmanager
def cstore_destination(
    status: int = 0x0000, *, sop_class: str = ComprehensiveSRStorage, tls: ssl.SSLContext | None = None, **entity: Any
) -> Iterator[tuple[StoreDestination, list[str]]]:
    """Run a C-STORE SCP that answers each report with this status; yield its settings and the received UIDs."""
    received: list[str] = []

    def store(event: evt.Event) -> int:
        received.append(str(event.dataset.SOPInstanceUID))
        return status

    server = AE(ae_title="PACS")
    server.add_supported_context(sop_class)
    for name, value in entity.items():
        setattr(server, name, value)
    unrestricted, _config.UNRESTRICTED_STORAGE_SERVICE = _config.UNRESTRICTED_STORAGE_SERVICE, False
    listening = server.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)], ssl_context=tls
    )
    try:
        yield cstore_settings(listening.socket.getsockname()[1]), received
    finally:
        listening.shutdown()
        _config.UNRESTRICTED_STORAGE_SERVICE = unrestricted  # receivers in this process set it


def cstore_settings(port: int, **values: Any) -> StoreDestination:
    """Return the settings of a C-STORE destination on this port; keywords replace values."""
    return StoreDestination(
        **{"name": "pacs", "ae_title": "PACS", "address": "127.0.0.1", "port": port, "timeout_seconds": SECONDS}
        | values
    )


@contextmanager
def stow_server(
    status: int, body: bytes = b"", *, tls: ssl.SSLContext | None = None, **headers: str
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Run a web server that answers each POST like this; yield its URL and the received headers."""
    received: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(dict(self.headers))
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Ignore errors of clients that do not trust the certificate."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}", received
        server.shutdown()
        thread.join()


@contextmanager
def accepting_destination() -> Iterator[tuple[StowDestination, list[dict[str, str]]]]:
    """Run a destination called `pacs` that accepts every report, for tests in which the protocol does not matter."""
    with stow_server(200) as (url, received):
        yield StowDestination(name="pacs", url=url), received
