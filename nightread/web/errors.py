"""Define the errors of requests, and turn statuses and errors of the HTTP library into them."""

from http import HTTPStatus
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from typing import NoReturn

from urllib3 import exceptions as faults

CUT_SHORT = "closed the connection before the response was complete"
_LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


class WebError(Exception):
    """A request failed. The caller puts "The store" or "The server" before the text ("does not answer within 30 s").

    The text quotes no address and no response, so it may be shown to anybody.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """Status of the response; None if there was no response, or if the status is not the cause of the error."""


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


def require_success(status: int) -> None:
    """Raise the WebError that fits the status, unless the status is 200 or 204."""
    if status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
        return
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        error: WebError = RefusedError(
            f"refused access (status {status}): correct `login`, or the permissions on the server", status=status
        )
    elif status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        error = MissingError(f"does not have the requested resource (status {status}): check `url`", status=status)
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        text = f"redirects to another address (status {status}): set `url` to that address"
        error = UnexpectedError(text, status=status)
    elif status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        error = UnavailableError(f"reports that it is unavailable (status {status})", status=status)
    else:
        error = UnexpectedError(f"rejected the request (status {status})", status=status)
    raise error


def raise_web_error(error: Exception, seconds: float) -> NoReturn:
    """Raise a WebError with a text of nightread, because the library's text quotes the address with its query."""
    if isinstance(error, faults.NameResolutionError):
        raise UnreachableError("has a host name that cannot be resolved: check `url`") from None
    if isinstance(error, faults.TimeoutError) and not isinstance(error, faults.NewConnectionError):
        kind = UnreachableError if isinstance(error, faults.ConnectTimeoutError) else UnavailableError
        raise kind(f"does not answer within {seconds:g} s") from None
    if isinstance(error, faults.SSLError):
        raise RefusedError("has an untrusted certificate, or rejected the client certificate: correct `tls`") from None
    if isinstance(error, (faults.NewConnectionError, ConnectionRefusedError)):
        raise UnreachableError("cannot be reached: check that it is running, and its address and port") from None
    cause = error.args[-1] if error.args else None
    if isinstance(cause, HTTPException) and not isinstance(cause, (IncompleteRead, RemoteDisconnected)):
        raise UnavailableError(f"sent no valid HTTP response ({type(cause).__name__})") from None
    if isinstance(error, (faults.ProtocolError, OSError)):
        raise UnavailableError(CUT_SHORT) from None
    raise UnexpectedError(f"sent a response that cannot be interpreted ({type(error).__name__})") from None
