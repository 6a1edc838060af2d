"""Send HTTP requests to stores and destinations, with login, TLS, and limits for every response."""

from nightread.web.client import HttpClient, HttpResponse
from nightread.web.errors import (
    MissingError,
    RefusedError,
    TooMuchError,
    UnavailableError,
    UnexpectedError,
    UnreachableError,
    WebError,
)
from nightread.web.values import bounded_integer

__all__ = [
    "HttpClient",
    "HttpResponse",
    "MissingError",
    "RefusedError",
    "TooMuchError",
    "UnavailableError",
    "UnexpectedError",
    "UnreachableError",
    "WebError",
    "bounded_integer",
]
