"""A web server that is asked for something: login, TLS, and an end to waiting and to what it sends."""

import base64
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import urlencode

from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3 import exceptions as faults

from nightread.sources import Login, Tls

MiB = 1024**2
_PIECE_BYTES = MiB
_PAGE_BYTES = 64 * MiB
_SLOWEST_BYTES_PER_SECOND = 64 * 1024
"""Whoever sends less is as good as silent: a trickle must not hold a connection for ever."""
_LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


class WebError(Exception):
    """A server did not give what it was asked for. The text is ours, says what it does, and may be shown to anybody."""


class UnavailableError(WebError):
    """It does not answer, or says itself that it cannot now: it may later."""


class UnreachableError(UnavailableError):
    """No connection to it came about, so that nothing was sent."""


class RefusedError(WebError):
    """It or we do not trust the other: somebody must correct login or certificates."""


class MissingError(WebError):
    """It answers that it has no such thing."""


class TooMuchError(WebError):
    """It sends more bytes than were asked for."""


class UnexpectedError(WebError):
    """It answers what makes no sense to us."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpResponse:
    """What a server answered."""

    status: int
    content_type: str
    body: bytes


class Website:
    """One server below one URL; may be used by several threads, each on a kept connection of its own.

    No redirection is followed, since it could carry the login elsewhere; no proxy and no `.netrc` is looked for.
    Connects at the first question.
    """

    def __init__(
        self,
        url: str,
        *,
        login: Login | None = None,
        tls: Tls | None = None,
        timeout_seconds: float = 30,
        connections: int = 1,
    ) -> None:
        """`connections` are kept between questions. Raises RefusedError where our own certificates cannot be read."""
        self.url = url.rstrip("/")
        self._seconds = timeout_seconds
        self._pool = PoolManager(
            maxsize=connections,
            headers=_credentials(login),
            ssl_context=_trust(tls) if url.startswith("https") else None,
            timeout=Timeout(connect=timeout_seconds, read=timeout_seconds),
        )

    def json(self, path: str, query: Mapping[str, str] | None = None, *, post: object = None) -> Any:
        """What the server answers as JSON, up to 64 MiB of it; None where it answers nothing. Raises WebError."""
        headers = {"Accept": "application/dicom+json, application/json"}
        if query:
            path = f"{path}?{urlencode(query)}"
        content = None if post is None else json.dumps(post).encode()
        body = self.read(path, headers, content=content).body
        try:
            return json.loads(body) if body else None
        except (ValueError, RecursionError):
            raise UnexpectedError("answers what is no JSON: is that its address?") from None

    def read(
        self,
        path: str,
        headers: Mapping[str, str],
        *,
        content: bytes | None = None,
        max_bytes: int = _PAGE_BYTES,
        on_bytes: Callable[[int], object] = lambda _count: None,
    ) -> HttpResponse:
        """What comes with status 200 or 204; `on_bytes` hears of each piece, and what it raises ends the transfer.

        `content` is posted, perhaps twice: it must be a question. Raises WebError: TooMuchError beyond `max_bytes`.
        """

        def ask() -> BaseHTTPResponse:
            try:
                return self._request(path, headers, content)
            except faults.ProtocolError:  # a kept connection that the server was just closing
                return self._request(path, headers, content)

        return self._transfer(ask, _require_success, max_bytes, on_bytes)

    def post(self, path: str, content: bytes, headers: Mapping[str, str]) -> HttpResponse:
        """Send the content, once, and return the answer of whatever status, up to 64 MiB of it.

        Raises WebError: UnreachableError where the server certainly got nothing of it.
        """
        return self._transfer(lambda: self._request(path, headers, content), lambda _status: None, _PAGE_BYTES)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.clear()

    def _transfer(
        self,
        ask: Callable[[], BaseHTTPResponse],
        check: Callable[[int], None],
        max_bytes: int,
        on_bytes: Callable[[int], object] = lambda _count: None,
    ) -> HttpResponse:
        try:
            response = ask()
            try:
                check(response.status)
                body = self._body(response, max_bytes, on_bytes)
            except BaseException:
                response.close()  # what was not read would be taken for the next answer
                raise
            response.release_conn()
        except (faults.HTTPError, OSError) as error:
            _complain(error, self._seconds)
        return HttpResponse(status=response.status, content_type=response.headers.get("Content-Type", ""), body=body)

    def _request(self, path: str, headers: Mapping[str, str], content: bytes | None) -> BaseHTTPResponse:
        return self._pool.request(
            "GET" if content is None else "POST",
            f"{self.url}/{path}",
            body=content,
            headers={**self._pool.headers, **headers},
            redirect=False,
            retries=False,
            preload_content=False,
        )

    def _body(self, response: BaseHTTPResponse, max_bytes: int, on_bytes: Callable[[int], object]) -> bytes:
        started, size, pieces = time.monotonic(), 0, []
        while piece := response.read1(_PIECE_BYTES):
            pieces.append(piece)
            size += len(piece)
            if size > max_bytes:
                raise TooMuchError(f"sends more than {max_bytes} bytes")
            if time.monotonic() - started > self._seconds + size / _SLOWEST_BYTES_PER_SECOND:
                raise UnavailableError(f"sends less than {_SLOWEST_BYTES_PER_SECOND} bytes a second")
            on_bytes(len(piece))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _credentials(login: Login | None) -> dict[str, str]:
    if login is None:
        return {}
    if login.bearer is not None:
        return {"Authorization": f"Bearer {login.bearer.get_secret_value()}"}
    password = login.password.get_secret_value() if login.password else ""
    pair = base64.b64encode(f"{login.user}:{password}".encode()).decode("ascii")
    return {"Authorization": f"Basic {pair}"}


def _trust(tls: Tls | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca if tls else None)
        if tls and tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ValueError) as error:
        raise RefusedError(f"cannot be asked: our certificate files cannot be read ({type(error).__name__})") from None
    return context


def _require_success(status: int) -> None:
    if status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
        return
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise RefusedError(f"refuses us (status {status}): correct its login, or its rules for us")
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise MissingError(f"has nothing there (status {status}): is that its address?")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise UnexpectedError(f"sends us elsewhere (status {status}): give the address where it is")
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise UnavailableError(f"says that it cannot (status {status})")
    raise UnexpectedError(f"does not understand us (status {status})")


def _complain(error: Exception, seconds: float) -> NoReturn:
    """In our own words: the library's text quotes the address with its query."""
    if isinstance(error, faults.NameResolutionError):
        raise UnreachableError("has an address of which nobody knows the machine: is it written right?") from None
    if isinstance(error, faults.TimeoutError) and not isinstance(error, faults.NewConnectionError):
        kind = UnreachableError if isinstance(error, faults.ConnectTimeoutError) else UnavailableError
        raise kind(f"does not answer within {seconds:g} s") from None
    if isinstance(error, faults.SSLError):
        raise RefusedError("shows a certificate that we do not trust, or does not take ours: correct `tls`") from None
    if isinstance(error, (faults.NewConnectionError, ConnectionRefusedError)):
        raise UnreachableError("cannot be reached: is it running, and are address and port right?") from None
    if isinstance(error, (faults.ProtocolError, OSError)):
        raise UnavailableError("broke off the connection") from None
    raise UnexpectedError(f"answers what makes no sense ({type(error).__name__})") from None
