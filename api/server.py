"""Run the application in uvicorn, with limits of connections, header size and time."""

import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from typing import Any

import uvicorn
from fastapi import FastAPI

from api.app import make_app
from api.context import ApiContext
from api.deadline_protocol import DeadlineProtocol
from nightread.errors import StopWork, UsageFault
from nightread.settings import Settings

_HEADER_BYTES = 64 * 1024
_CONNECTIONS = 512
_KEEP_ALIVE_SECONDS = 15
_GRACEFUL_SECONDS = 5
"""Time that requests get to complete when the API stops. After 7 s, `nightread up` would kill the process."""
_BACKLOG = 2048


def serve(context: ApiContext, *, on_listening: Callable[[int], None] = lambda _port: None) -> None:
    """Serve until SIGTERM or Ctrl-C. `on_listening` is called with the port.

    Raises UsageFault if the port or the spool is already in use, StopWork if a service of the API ended by itself, and
    OSError or database errors at the start.
    """
    settings = context.settings
    with closing(listen(settings.api_address, settings.api_port)) as listener:
        port = listener.getsockname()[1]
        server = make_server(context, on_started=lambda: on_listening(port))
        server.run(sockets=[listener])
        if server.has_failed or not server.started:
            raise StopWork("A service of the API ended, so the API stopped: see the API's log.")


class ApiServer(uvicorn.Server):
    """A server that starts the services of the application first, and stops when one of them ends.

    uvicorn itself would log a traceback if a service does not start, and it could not end requests that wait.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._on_started = on_started
        self._lifespan = AsyncExitStack()
        self.has_failed = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the services, then listen. Raises the errors of the services."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._app.router.lifespan_context(self._app))
            await super().startup(sockets)
            self._lifespan = stack.pop_all()
        self._on_started()

    async def on_tick(self, counter: int) -> bool:
        """Return whether the server must stop."""
        self.has_failed = self._app.state.services.failed.is_set()
        return await super().on_tick(counter) or self.has_failed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Respond to clients that wait, give other requests five seconds to complete, and stop the services."""
        self._app.state.services.end_waits()
        try:
            await super().shutdown(sockets)
        finally:
            await self._lifespan.aclose()


def make_server(context: ApiContext, *, on_started: Callable[[], None] = lambda: None) -> ApiServer:
    """Return the server. Call its `run` with a socket from `listen`."""
    app = make_app(context)
    server = ApiServer(_config(app, context.settings), app, on_started)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # our own log has the facts of its other lines
    logging.getLogger("uvicorn.access").disabled = True  # its lines contain the path, which may identify a patient
    return server


def listen(address: str, port: int) -> socket.socket:
    """Return a socket bound to address and port. Raises UsageFault if the address is unknown or the port is in use."""
    try:
        family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # asyncio switches Nagle's algorithm off only where the protocol is named. With it, a response on a connection
        # that is used again waits 40 ms for the client's delayed acknowledgement.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Return the configuration of uvicorn; each setting has a comment with its reason."""
    return uvicorn.Config(
        app,
        lifespan="off",  # ApiServer starts and stops the services
        http=DeadlineProtocol,
        ws="none",
        # Our own log line of a request contains no path and no query, because both may identify a patient.
        access_log=False,
        # nightread.log has configured the log handlers.
        log_config=None,
        server_header=False,
        # Limits count per client address, which must not come from a header that any client can send.
        proxy_headers=False,
        # Limits the size of all headers of a request; larger requests get status 400.
        h11_max_incomplete_event_size=_HEADER_BYTES,
        # Requests on further connections get status 503, and DeadlineProtocol closes connections beyond those at once.
        # This limits memory and file descriptors: on most systems a process may have 1,024 descriptors.
        limit_concurrency=_CONNECTIONS,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        # Clients that wait for an outcome get status 202 at once; only bodies and files in transfer need this time.
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        **_tls(settings),
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
