"""Run the application in uvicorn, with limits for connections, headers and time."""

import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from typing import Any

import uvicorn

from api.app import make_app
from api.context import ApiContext
from api.deadline_protocol import DeadlineProtocol
from nightread.errors import UsageFault
from nightread.settings import Settings

_HEADER_BYTES = 64 * 1024
_CONNECTIONS = 512
_KEEP_ALIVE_SECONDS = 15
_GRACEFUL_SECONDS = 10
_BACKLOG = 2048


def serve(context: ApiContext, *, on_listening: Callable[[int], None] = lambda _port: None) -> None:
    """Serve until SIGTERM or Ctrl-C. `on_listening` gets the port. Raises UsageFault for a port that is taken."""
    settings = context.settings
    with closing(listen(settings.api_address, settings.api_port)) as listener:
        on_listening(listener.getsockname()[1])
        make_server(context).run(sockets=[listener])


def make_server(context: ApiContext) -> uvicorn.Server:
    """Return the server; `run` it with a socket of `listen`."""
    server = uvicorn.Server(_config(context))
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # its other lines say nothing that ours do not
    logging.getLogger("uvicorn.access").disabled = True  # its lines have the path
    return server


def listen(address: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises UsageFault if the address is unknown or the port is taken."""
    try:
        family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise UsageFault(
            f"The API cannot listen on {address} port {port} ({error.strerror or type(error).__name__}): "
            "choose another port with --port or NIGHTREAD_API_PORT."
        ) from None
    return listener


def _config(context: ApiContext) -> uvicorn.Config:
    """Return the configuration of uvicorn; each setting has a comment with its reason."""
    return uvicorn.Config(
        make_app(context),
        http=DeadlineProtocol,
        ws="none",
        # Our own line per request has neither path nor query: both may identify a patient.
        access_log=False,
        # The log handlers are those of nightread.log.
        log_config=None,
        server_header=False,
        # The address of a client counts for limits; a header that any client may send must not change it.
        proxy_headers=False,
        # 10,000 headers do not fit: they are answered with 400.
        h11_max_incomplete_event_size=_HEADER_BYTES,
        # Requests of more connections are answered with 503; DeadlineProtocol closes still more of them unanswered.
        # So memory is bounded, and so are descriptors, of which a process has 1,024 on most systems.
        limit_concurrency=_CONNECTIONS,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        # Clients that wait for an outcome get their 202 from the next start, by asking again.
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        **_tls(context.settings),
    )


def _tls(settings: Settings) -> dict[str, Any]:
    tls = settings.api_tls
    if tls is None:
        return {}
    if tls.certificate is None or tls.key is None:
        raise UsageFault("api_tls needs `certificate` and `key`.")
    return {
        "ssl_certfile": str(tls.certificate),
        "ssl_keyfile": str(tls.key),
        "ssl_ca_certs": str(tls.ca) if tls.ca else None,
        "ssl_cert_reqs": ssl.CERT_REQUIRED if tls.require_client else ssl.CERT_NONE,
    }
