"""Refuse requests to unknown host names and requests that other sites forged, find the principal, and log requests."""

import asyncio
import logging
import time
from http import HTTPStatus
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import ANONYMOUS, Principal
from api.authentication import Authentication
from api.bodies import CLOSE
from api.head_request import HeadAsGet
from api.pages.session import COOKIE
from api.problems import Problem, Respond, database_problem, stopped_problem
from nightread.errors import StopWork
from nightread.known_hosts import is_known_host
from nightread.settings import Settings

log = logging.getLogger("api.requests")

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_METHODS = _SAFE | {"POST", "PUT", "PATCH", "DELETE"}
_STOW = "/dicom-web/studies"
_FILES = ("/v1/images", _STOW)
_SMALL_BYTES = 64 * 1024
_SMALL_SECONDS = 30.0
"""Limits of size and time for request bodies that are not files."""
_UNKNOWN = "unknown"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers that each response gets unless it sets them itself. Results are patient data, so no cache may keep them."""


class Guards:
    """ASGI middleware around all routes. It starts no task per request, because a task would cost a millisecond."""

    def __init__(self, app: ASGIApp, settings: Settings, respond: Respond) -> None:
        """`respond` makes the response to a refused request."""
        self._app = app
        self._settings = settings
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on with `scope["state"]["principal"]`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, method = time.perf_counter(), scope["method"]
        if method == "HEAD":
            head = HeadAsGet(scope, send)
            scope, receive, send = head.scope, head.receive, head.send
        body = _Body(scope, receive)
        response = _Response(send, body)
        try:
            problem = await self._refusal(scope) or await self._pass_on(scope, body, response)
            if problem is not None:
                refusal = await self._respond(Request(scope), problem)
                await refusal(scope, receive, response.send)
        finally:
            _log_request(scope, method, response.status, 1000 * (time.perf_counter() - began))

    async def _pass_on(self, scope: Scope, body: "_Body", response: "_Response") -> Problem | None:
        """Run the application. Return the problem if the body could not be read and no response was sent, else None."""
        try:
            await self._app(scope, body.receive, response.send)
        except Exception:
            if body.problem is None or response.status:
                raise
        problem, body.problem = body.problem, None
        return None if response.status else problem

    async def _refusal(self, scope: Scope) -> Problem | None:
        problem = self._forbidden(scope)
        if problem is not None:
            return problem
        try:
            principal = await _principal(scope)
        except Problem as problem:
            return problem
        except SQLAlchemyError as error:
            return database_problem(error)
        except StopWork as error:
            return stopped_problem(error)
        scope.setdefault("state", {})["principal"] = principal
        return None

    def _forbidden(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if not is_known_host(headers.getlist("host"), self._settings.api_address, self._settings.api_hosts):
            return Problem(
                HTTPStatus.FORBIDDEN, "The API does not accept this host name: add the name to the setting api_hosts."
            )
        if _is_forged(headers, is_safe=scope["method"] in _SAFE):
            return Problem(HTTPStatus.FORBIDDEN, "Pages of other sites may not send this request.", headers=CLOSE)
        if not _takes_files(scope) and _declared_bytes(headers) > _SMALL_BYTES:
            return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.", headers=CLOSE)
        return None


class _Response:
    """Sends the application's response with _HEADERS, or drops it if the body of the request could not be read."""

    def __init__(self, send: Send, body: "_Body") -> None:
        self._send = send
        self._body = body
        self.status = 0
        """The HTTP status of the response; 0 until the response begins."""

    async def send(self, message: Message) -> None:
        if self._body.problem is not None and not self.status:
            return  # the framework responds with 400 or 500 to each problem of the body; Guards sends the right status
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if self.status == HTTPStatus.TEMPORARY_REDIRECT:
                headers["Location"] = _path_of(headers["Location"])
        await self._send(message)


def _path_of(address: str) -> str:
    """Return path and query of an address of this server.

    The framework redirects from `/v1/results/` with the scheme of the request. Behind a proxy with TLS, this is http,
    and the client would send its key again without encryption.
    """
    parts = urlsplit(address)
    path = f"/{parts.path.lstrip('/')}"  # `//other.example` would be another server
    return f"{path}?{parts.query}" if parts.query else path


async def _principal(scope: Scope) -> Principal:
    authentication: Authentication = scope["app"].state.services.authentication
    found = await authentication.principal(Headers(scope=scope), (scope.get("client") or ("",))[0])
    if found is ANONYMOUS and scope["method"] in _SAFE:
        return await _signed_in(scope) or found
    return found


async def _signed_in(scope: Scope) -> Principal | None:
    """Return the principal of a signed-in browser, else None.

    Pages show pictures of the API and link to its tables, and the browser requests them with the cookie of its session.
    """
    app = scope["app"]
    cookie = cookie_parser(Headers(scope=scope).get("cookie", "")).get(COOKIE)
    session = app.state.pages.signer.read(cookie, app.state.context.clock()) if cookie else None
    if session is None or not session.key:
        return None
    found: Principal | None = await app.state.services.authentication.of_reference(session.key)
    return found


def _is_forged(headers: Headers, *, is_safe: bool) -> bool:
    """Return whether a browser says that a page of another site made the request (Fetch Metadata; RFC 6454).

    A request that changes nothing is permitted if it follows a link on another site. Other requests from other sites
    are refused. The other site could not read the responses, but the requests would cost time.
    """
    if is_safe:
        return headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate"
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def _takes_files(scope: Scope) -> bool:
    """Return whether the route takes files: its handler then limits the body itself (api.bodies)."""
    path = scope["path"]
    return scope["method"] == "POST" and (path in _FILES or path.startswith(f"{_STOW}/"))


def _declared_bytes(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdecimal() else 0


class _Body:
    """Reads the body of a request.

    If the route does not take files, the framework reads the whole body at once. Such a body fails if it is too large
    or too slow.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._received = 0
        self._is_complete = False
        self.receive = receive if _takes_files(scope) else self._receive_some
        self.problem: Problem | None = None
        """Why the body could not be read. It is kept because the framework turns the exception into another one."""

    async def _receive_some(self) -> Message:
        try:
            async with asyncio.timeout(None if self._is_complete else _SMALL_SECONDS):
                message = await self._receive()
        except TimeoutError:
            self.problem = Problem(HTTPStatus.REQUEST_TIMEOUT, "The body came too slowly.", headers=CLOSE)
            raise self.problem from None
        self._received += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        if self._received > _SMALL_BYTES:
            self.problem = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.", headers=CLOSE)
            raise self.problem
        return message


def route_of(scope: Scope) -> str:
    """Return the template of the route, such as `/v1/images/{image_id}`. The path itself may identify a patient."""
    return getattr(scope.get("route"), "path_format", None) or _UNKNOWN


def _log_request(scope: Scope, method: str, status: int, milliseconds: float) -> None:
    principal = scope.get("state", {}).get("principal")
    log.info(
        "request",
        extra={
            "method": method if method in _METHODS else "other",
            "route": route_of(scope),
            "status": status or HTTPStatus.INTERNAL_SERVER_ERROR.value,
            "ms": round(milliseconds, 1),
            "key": principal.name if principal else "",
        },
    )
