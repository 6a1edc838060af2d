"""Run the HTTP API on a real port, in a thread of this process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from compose_processes import wait_until

from api.context import ApiContext
from api.server import listen, make_server
from db.engine import Database
from nightread.nights import nights_of
from nightread.settings import load_settings


@dataclass(frozen=True, kw_only=True)
class RunningApi:
    """An API that listens."""

    port: int
    database: Database
    folder: Path
    server: uvicorn.Server

    def connect(self) -> socket.socket:
        """Return a connection; reads time out after 10 s."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def exchange(self, request: bytes) -> bytes:
        """Send bytes, and return all bytes of the answer until the server closes the connection."""
        with self.connect() as connection:
            connection.sendall(request)
            return read_all(connection)

    @property
    def spooled(self) -> list[Path]:
        """All files in the spool of the API, complete or not."""
        return sorted(path for path in self.folder.glob("spool/api-*/*/*/*") if path.is_file())


def read_all(connection: socket.socket) -> bytes:
    """Return the bytes until the other end closes the connection."""
    found = b""
    try:
        while data := connection.recv(65536):
            found += data
    except ConnectionResetError:
        pass  # closed with bytes of the request unread
    return found


@contextmanager
def running_api(
    database: Database, folder: Path, *, redis_url: str | None = None, **settings: Any
) -> Iterator[RunningApi]:
    """Serve this database, with the state in `folder`."""
    known = load_settings(**{"state_dir": folder, "api_wait_seconds": 0, **settings})
    context = ApiContext(settings=known, database=database, nights=nights_of(known), redis_url=redis_url)
    with closing(listen("127.0.0.1", 0)) as listener:
        server = make_server(context)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive(), seconds=20, what="the API listens")
            assert server.started, "the API did not start"
            yield RunningApi(port=listener.getsockname()[1], database=database, folder=folder, server=server)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the API does not stop"
