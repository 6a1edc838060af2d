"""Tell the operator where the HTTP API is, or why there is none."""

import socket
from importlib.util import find_spec

from cli.api import key_problem
from cli.output.console import err
from db import queries
from db.engine import Database
from nightread.settings import Settings

_CONNECT_SECONDS = 1.0


def why_no_api(settings: Settings, database: Database) -> str | None:
    """Return why `up` starts no API: a sentence, or an empty text if the port is 0; None if it starts the API."""
    if not settings.api_port:
        return ""
    if find_spec("uvicorn") is None or find_spec("fastapi") is None:
        return "not installed: `pip install 'nightread[api]'`"
    if problem := key_problem(settings, database):
        return problem
    if not _is_free(settings.api_address, settings.api_port):
        return f"port {settings.api_port} is taken: choose another port with --api-port, or 0 for no API"
    return None


class ApiAnnouncement:
    """Tells where the HTTP API is as soon as it accepts connections, which takes seconds on a busy machine."""

    def __init__(self, settings: Settings, database: Database, problem: str | None) -> None:
        """`problem` is a result of `why_no_api`; it is printed at once."""
        self._place = settings.api_address, settings.api_port
        self._line = _address_line(settings, database) if problem is None else ""
        if problem:
            err.print(f"API      {problem}", markup=False, style="yellow")

    def check(self) -> None:
        """Print the address, and whether the API needs a key, if the API accepts connections now for the first time."""
        if self._line and _is_listening(*self._place):
            err.print(self._line, markup=False)
            self._line = ""


def _address_line(settings: Settings, database: Database) -> str:
    scheme = "https" if settings.api_tls else "http"
    host = f"[{settings.api_address}]" if ":" in settings.api_address else settings.api_address
    has_key = settings.api_key is not None or queries.api_keys(database)
    who = "" if has_key else " (no key is needed until `nightread keys add` makes one)"
    return f"API      {scheme}://{host}:{settings.api_port}{who}"


def _is_listening(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=_CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _is_free(address: str, port: int) -> bool:
    try:
        family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError:
        return False
    return True
