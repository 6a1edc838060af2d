"""Tell the operator where the HTTP API is, or why there is none."""

import socket
from importlib.util import find_spec

from cli.api import key_problem
from cli.output.address_line import AddressLine
from cli.output.console import err
from db import queries
from db.engine import Database
from nightread.settings import Settings


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


def api_address_lines(settings: Settings, database: Database, problem: str | None) -> list[AddressLine]:
    """Return the line of the API, if it is started: if `problem`, a result of `why_no_api`, is None.

    A problem is printed at once. The line says whether the API needs a key.
    """
    if problem:
        err.print(f"API      {problem}", markup=False, style="yellow")
    if problem is not None:
        return []
    scheme = "https" if settings.api_tls else "http"
    host = f"[{settings.api_address}]" if ":" in settings.api_address else settings.api_address
    has_key = settings.api_key is not None or queries.api_keys(database)
    who = "" if has_key else " (no key is needed until `nightread keys add` makes one)"
    line = f"API      {scheme}://{host}:{settings.api_port}{who}"
    return [AddressLine(line, settings.api_address, settings.api_port)]


def _is_free(address: str, port: int) -> bool:
    try:
        family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError:
        return False
    return True
