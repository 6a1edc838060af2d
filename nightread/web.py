"""Send HTTP requests to one server, with login, TLS, time limits and size limits."""

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
_CHUNK_BYTES = MiB
_PAGE_BYTES = 64 * MiB
_SLOWEST_BYTES_PER_SECOND = 64 * 1024
"""A slower server counts as unavailable, so that it cannot occupy a connection for ever."""
_LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


class WebError(Exception):
    """A request failed. The caller puts "The store" or "The server" before the text ("does not answer within 30 s").

    nightread writes it: it quotes no address and no response, and may be shown to anybody.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """Status of the response; None if there was none, or if the error lies elsewhere."""


class UnavailableError(WebError):
    """The server does not answer, or reports that it is unavailable. A later request may succeed."""


class UnreachableError(UnavailableError):
    """No connection could be made. The server received nothing."""


class RefusedError(WebError):
    """Login or certificates were rejected, by the server or by nightread. A person must correct them."""


class MissingError(WebError):
    """The server does not have the resource (status 404 or 410)."""


class TooMuchError(WebError):
    """The server sent more bytes than the limit of the request."""


class UnexpectedError(WebError):
    """The response cannot be interpreted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpResponse:
    """Status, media type, body and warning of a response."""

    status: int
    content_type: str
    body: bytes
    warning: str = ""
    """The header `Warning`."""


class HttpClient:
    """An HTTP client for one base URL. Several threads may use it, each on a persistent connection of its own.

    It connects at the first request. It follows no redirect, since that could send the login to another host. It uses
    no proxy settings and no `.netrc`.
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
        """Keep up to `connections` open between requests. Raises RefusedError if a certificate file cannot be read."""
        self.url = url.rstrip("/")
        self._seconds = timeout_seconds
        self._pool = PoolManager(
            maxsize=connections,
            headers=_credentials(login),
            ssl_context=_trust(tls) if url.startswith("https") else None,
            timeout=Timeout(connect=timeout_seconds, read=timeout_seconds),
        )
        self.accept: str | None = None
        """The best value of `Accept` with which this server sent an instance; None before it sent one."""

    def json(self, path: str, query: Mapping[str, str] | None = None, *, post: object = None) -> Any:
        """Return the JSON response, up to 64 MiB; None for an empty body. `post` is sent as JSON. Raises WebError."""
        return self.json_with_warning(path, query, post=post)[0]

    def json_with_warning(
        self, path: str, query: Mapping[str, str] | None = None, *, post: object = None
    ) -> tuple[Any, str]:
        """Return what `json` returns, and the header `Warning`, which is empty if there is none. Raises WebError."""
        headers = {"Accept": "application/dicom+json, application/json"}
        if query:
            path = f"{path}?{urlencode(query)}"
        content = None if post is None else json.dumps(post).encode()
        response = self.read(path, headers, content=content)
        try:
            return json.loads(response.body) if response.body else None, response.warning
        except (ValueError, RecursionError):
            raise UnexpectedError("sent invalid JSON: check its URL") from None

    def read(
        self,
        path: str,
        headers: Mapping[str, str],
        *,
        content: bytes | None = None,
        max_bytes: int = _PAGE_BYTES,
        on_bytes: Callable[[int], object] = lambda _count: None,
    ) -> HttpResponse:
        """Return the response with status 200 or 204.

        `on_bytes` is called with the size of each chunk; an exception from it ends the transfer. `content` is posted,
        possibly twice: the request must be idempotent. Raises WebError: TooMuchError beyond `max_bytes`.
        """

        def request() -> BaseHTTPResponse:
            try:
                return self._request(path, headers, content)
            except faults.ProtocolError:  # the server was just closing the persistent connection
                return self._request(path, headers, content)

        return self._transfer(request, _require_success, max_bytes, on_bytes)

    def post(self, path: str, content: bytes, headers: Mapping[str, str]) -> HttpResponse:
        """Send the content once, and return the response of any status, up to 64 MiB.

        Raises WebError: UnreachableError if the server certainly received nothing.
        """
        return self._transfer(lambda: self._request(path, headers, content), lambda _status: None, _PAGE_BYTES)

    def close(self) -> None:
        """Close the persistent connections."""
        self._pool.clear()

    def _transfer(
        self,
        request: Callable[[], BaseHTTPResponse],
        check: Callable[[int], None],
        max_bytes: int,
        on_bytes: Callable[[int], object] = lambda _count: None,
    ) -> HttpResponse:
        try:
            response = request()
            try:
                check(response.status)
                body = self._body(response, max_bytes, on_bytes)
            except BaseException:
                response.close()  # unread bytes would be taken for the next response
                raise
            response.release_conn()
        except (faults.HTTPError, OSError) as error:
            _raise_web_error(error, self._seconds)
        return HttpResponse(
            status=response.status,
            content_type=response.headers.get("Content-Type", ""),
            body=body,
            warning=response.headers.get("Warning", ""),
        )

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
        started, size, chunks = time.monotonic(), 0, []
        while chunk := response.read1(_CHUNK_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            if size > max_bytes:
                raise TooMuchError(f"sent more than {max_bytes} bytes")
            if time.monotonic() - started > self._seconds + size / _SLOWEST_BYTES_PER_SECOND:
                raise UnavailableError(f"sent less than {_SLOWEST_BYTES_PER_SECOND} bytes per second")
            on_bytes(len(chunk))
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


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
        raise RefusedError(
            f"cannot be reached: its certificate files on this host cannot be read ({type(error).__name__}): "
            "correct `tls`"
        ) from None
    return context


def _require_success(status: int) -> None:
    if status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
        return
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        error: WebError = RefusedError(
            f"refused access (status {status}): correct `login`, or the permissions on the server", status=status
        )
    elif status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        error = MissingError(f"has no such resource (status {status}): check `url`", status=status)
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        text = f"redirects to another address (status {status}): set `url` to that address"
        error = UnexpectedError(text, status=status)
    elif status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        error = UnavailableError(f"reports that it is unavailable (status {status})", status=status)
    else:
        error = UnexpectedError(f"rejected the request (status {status})", status=status)
    raise error


def _raise_web_error(error: Exception, seconds: float) -> NoReturn:
    """Raise a WebError with a text of its own: the text of the library quotes the address with its query."""
    if isinstance(error, faults.NameResolutionError):
        raise UnreachableError("has a host name that cannot be resolved: check `url`") from None
    if isinstance(error, faults.TimeoutError) and not isinstance(error, faults.NewConnectionError):
        kind = UnreachableError if isinstance(error, faults.ConnectTimeoutError) else UnavailableError
        raise kind(f"does not answer within {seconds:g} s") from None
    if isinstance(error, faults.SSLError):
        raise RefusedError("has an untrusted certificate, or rejected the client certificate: correct `tls`") from None
    if isinstance(error, (faults.NewConnectionError, ConnectionRefusedError)):
        raise UnreachableError("cannot be reached: check that it is running, and its address and port") from None
    if isinstance(error, (faults.ProtocolError, OSError)):
        raise UnavailableError("closed the connection before the response was complete") from None
    raise UnexpectedError(f"sent a response that cannot be interpreted ({type(error).__name__})") from None
