"""Send HTTP requests to one server, with login, TLS, time limits and size limits."""

import base64
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import BadStatusLine
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pydantic import SecretStr
from urllib3 import BaseHTTPResponse, Timeout
from urllib3 import exceptions as faults

from nightread.sources import Login, Tls
from nightread.web.content_coding import decoder_of
from nightread.web.errors import (
    RefusedError,
    TooMuchError,
    UnexpectedError,
    raise_web_error,
    require_success,
)
from nightread.web.meter import MeteredConnection, ResponseMeter, metered_pool
from nightread.web.values import JSON_BYTES, bounded_integer, parse_json

MiB = 1024**2
_CHUNK_BYTES = MiB
_RECEIPT_BYTES = MiB
"""Limit of the response to a POST: a receipt for one report, or an error page."""
_MOST_BYTES = 2**63 - 1


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
    no proxy settings and no `.netrc`. Every response has limits of time and size (nightread.web.meter): whatever a
    server sends, a request ends.
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
        """Keep up to `connections` connections open between requests.

        Raises RefusedError if a file of the login or a certificate file cannot be read.
        """
        self.url = url.rstrip("/")
        self._seconds = timeout_seconds
        self._pool = metered_pool(
            maxsize=connections,
            headers=_credentials(login),
            ssl_context=_trust(tls) if url.startswith("https") else None,
            timeout=Timeout(connect=timeout_seconds, read=timeout_seconds),
        )
        self.accept: str | None = None
        """The best value of `Accept` that this server understands for instances; None until it is known."""

    def json(self, path: str, query: Mapping[str, str] | None = None, *, post: object = None) -> Any:
        """Return the JSON response, up to 32 MiB; None for an empty body. `post` is sent as JSON. Raises WebError."""
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
        return parse_json(response.body) if response.body else None, response.warning

    def read(
        self,
        path: str,
        headers: Mapping[str, str],
        *,
        content: bytes | None = None,
        max_bytes: int = JSON_BYTES,
        on_bytes: Callable[[int], object] = lambda _count: None,
    ) -> HttpResponse:
        """Return the response with status 200 or 204.

        `on_bytes` is called with the size of each chunk; an exception from it ends the transfer. `content` is posted,
        possibly twice: the request must be idempotent. Raises WebError: TooMuchError beyond `max_bytes`.
        """

        def request() -> BaseHTTPResponse:
            try:
                return self._request(path, headers, content)
            except faults.ProtocolError as error:
                if not isinstance(error.args[-1], (ConnectionError, BadStatusLine)):
                    raise
                # the server closed the persistent connection at this moment: send the request again
                return self._request(path, headers, content)

        return self._transfer(request, require_success, max_bytes, on_bytes)

    def post(self, path: str, content: bytes, headers: Mapping[str, str]) -> HttpResponse:
        """Send the content once, and return the response of any status, up to 1 MiB.

        Raises WebError: UnreachableError if the server certainly received nothing.
        """
        return self._transfer(lambda: self._request(path, headers, content), _require_final, _RECEIPT_BYTES)

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
                body = _body(response, max_bytes, on_bytes)
            except BaseException:
                response.close()  # unread bytes would be taken for the next response
                raise
            response.release_conn()
        except (faults.HTTPError, OSError) as error:
            raise_web_error(error, self._seconds)
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


def _body(response: BaseHTTPResponse, max_bytes: int, on_bytes: Callable[[int], object]) -> bytes:
    """Return the decoded body. Raises WebError beyond the limits of size and time."""
    announced = bounded_integer(response.headers.get("Content-Length"), most=_MOST_BYTES)
    if announced is not None and announced > max_bytes:
        raise TooMuchError(f"announced more than {max_bytes} bytes")
    meter = _meter_of(response)
    meter.begin_body(max_bytes)
    decoder, body = decoder_of(response.headers.get("Content-Encoding", "")), BytesIO()
    while data := response.read1(_CHUNK_BYTES, decode_content=False):
        for piece in decoder.pieces(data):
            if body.tell() + len(piece) > max_bytes:
                raise TooMuchError(f"sent more than {max_bytes} bytes")
            body.write(piece)
            meter.content(len(piece))
            on_bytes(len(piece))
    decoder.finish()
    return body.getvalue()


def _meter_of(response: BaseHTTPResponse) -> ResponseMeter:
    connection = response.connection
    assert isinstance(connection, MeteredConnection), "the pool makes only metered connections"  # noqa: S101
    return connection.meter


def _require_final(status: int) -> None:
    """Raise UnexpectedError for an interim response: http.client skips only `100 Continue`."""
    if status < HTTPStatus.OK:
        raise UnexpectedError(f"sent only an interim response (status {status})", status=status)


def _credentials(login: Login | None) -> dict[str, str]:
    if login is None:
        return {}
    if login.user is None:
        return {"Authorization": f"Bearer {_secret(login.bearer, login.bearer_file)}"}
    password = _secret(login.password, login.password_file)
    pair = base64.b64encode(f"{login.user}:{password}".encode()).decode("ascii")
    return {"Authorization": f"Basic {pair}"}


def _secret(value: SecretStr | None, file: Path | None) -> str:
    """Return the secret, or the content of its file without white space at its ends."""
    if value is not None or file is None:
        return value.get_secret_value() if value else ""
    try:
        secret = file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        problem = f"cannot be read ({type(error).__name__})"
    else:
        if secret.isprintable() and secret:
            return secret
        problem = "is not one line of text"
    raise RefusedError(f"cannot be reached: the file of its login on this host {problem}: correct `login`")


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
