"""Retrieve one instance from a store, in the transfer syntax in which it is stored."""

import re
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from nightread.web import (
    HttpClient,
    HttpResponse,
    MissingError,
    TooMuchError,
    UnavailableError,
    UnexpectedError,
    WebError,
)

_ACCEPTED = (
    'multipart/related; type="application/dicom"; transfer-syntax=*',
    'multipart/related; type="application/dicom"',
    'application/dicom, multipart/related; type="application/dicom", */*;q=0.1',
)
"""Values of `Accept`, the best first. Without the wildcard, stores send Explicit VR Little Endian."""
_FAILED = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.NOT_IMPLEMENTED)
_ENVELOPE_BYTES = 64 * 1024
_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_OPENING = re.compile(rb"(?:\A|\n)--([^\r\n]{1,200}?)[ \t]*\r?\n")
"""The line of a boundary, whatever the boundary is."""
_END_OF_HEADERS = re.compile(rb"\r?\n(\r?\n)")
_ENCODED = re.compile(
    rb"^content-(?:transfer-)?encoding:(?!\s*(?:binary|7bit|8bit|identity)\b)", re.IGNORECASE | re.MULTILINE
)
_PREFIX = slice(128, 132)
"""Position of `DICM` in a DICOM file (DICOM PS3.10, section 7.1)."""


def dicomweb_uri(study: str, series: str, instance: str) -> str:
    """Return the WADO-RS path of the instance, relative to the URL of the store (DICOM PS3.18, section 10.4)."""
    return f"studies/{segment(study)}/series/{segment(series)}/instances/{segment(instance)}"


def orthanc_uri(orthanc_id: str) -> str:
    """Return the path of the instance's file in the REST API of Orthanc, relative to the URL of the server."""
    return f"instances/{segment(orthanc_id)}/file"


def segment(name: str) -> str:
    """Quote any text as one segment of a URL path. Raises ValueError for empty text and for text of dots only."""
    quoted = quote(name, safe="")
    if not quoted.strip("."):
        raise ValueError("an empty name, or a name of dots only, cannot be part of a URL")
    return quoted


def retrieve(
    client: HttpClient, uri: str, *, max_bytes: int, on_bytes: Callable[[int], object] = lambda _count: None
) -> bytes:
    """Return the DICOM file of the instance at this URI, a result of `dicomweb_uri` or `orthanc_uri`.

    Raises WebError: MissingError, TooMuchError beyond `max_bytes`.
    """
    if not uri.startswith("studies/"):
        response = client.read(uri, {"Accept": "application/dicom, */*"}, max_bytes=max_bytes, on_bytes=on_bytes)
        return _require_dicom(response).body
    response = _request(client, uri, max_bytes + _ENVELOPE_BYTES, on_bytes)
    data = _first_part(response.content_type, _require_dicom(response).body)
    if len(data) > max_bytes:
        raise TooMuchError(f"sent more than {max_bytes} bytes")
    return data


def _request(client: HttpClient, uri: str, limit: int, on_bytes: Callable[[int], object]) -> HttpResponse:
    """Request the instance with the best `Accept` that the store understands.

    Older stores reject the wildcard for the transfer syntax, and some fail because of it with status 500. A value is
    remembered for a store only if the store rejected every better value, because a status 500 may have another cause.
    A better value that was successful earlier stays the first choice: a later rejection concerns a single instance.
    """
    values, is_certain = _ACCEPTED[_ACCEPTED.index(client.accept or _ACCEPTED[0]) :], True
    for accept in values:
        try:
            response = client.read(uri, {"Accept": accept}, max_bytes=limit, on_bytes=on_bytes)
        except (UnexpectedError, UnavailableError) as error:
            if accept == values[-1] or not _may_be_due_to_accept(error):
                raise
            is_certain = is_certain and isinstance(error, UnexpectedError)
        else:
            if is_certain:
                client.accept = min(client.accept or accept, accept, key=_ACCEPTED.index)
            return response
    raise AssertionError("the request with the last value of `Accept` returns or raises")


def _may_be_due_to_accept(error: WebError) -> bool:
    if isinstance(error, UnexpectedError):
        return error.status is not None and error.status >= HTTPStatus.BAD_REQUEST
    return error.status in _FAILED


def _require_dicom(response: HttpResponse) -> HttpResponse:
    """Raise UnexpectedError for a web page: a proxy may send its login page with status 200.

    Otherwise this page would be rejected as an image that is at fault, and the image would never be requested again.
    """
    if response.content_type.lower().startswith(("text/", "application/json")) or _is_page(response.body):
        raise UnexpectedError("sent a web page instead of an image: check whether a proxy asks for a login")
    return response


def _is_page(data: bytes) -> bool:
    """Return whether the data begin like HTML, XML or JSON and are no DICOM file, whose preamble may hold any bytes."""
    return data[_PREFIX] != b"DICM" and data[:_ENVELOPE_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"<", b"{", b"[")


def _first_part(content_type: str, body: bytes) -> bytes:
    """Return the content of the first part of a multipart message (RFC 2046, section 5.1), or any other body unchanged.

    Accepts what some stores write against the standard: line feeds without carriage returns, no line end before or
    after the last boundary, another Content-Type or none, and a Content-Type without the boundary or with another one.
    """
    if not content_type.lower().startswith("multipart/") and not _is_multipart(body):
        if not body:
            raise UnexpectedError("sent an empty response instead of an image")
        return body
    opened, delimiter = _opening_of(content_type, body)
    headers_end = _END_OF_HEADERS.search(body, opened) if opened >= 0 else None
    if not headers_end:
        raise MissingError("sent a multipart message without any part")
    if _ENCODED.search(body, opened, headers_end.start()):
        raise UnexpectedError("sent an image in an encoding that was not requested (headers of its part)")
    begin = headers_end.end()
    end = body.find(headers_end[1] + delimiter, begin)
    if end < 0:
        end = body.find(delimiter + b"--", begin)
    if end < 0:
        raise UnexpectedError("sent an incomplete multipart message")
    part = body[begin:end]
    if _is_page(part):
        raise UnexpectedError("sent a multipart message whose first part is no image")
    return part


def _is_multipart(body: bytes) -> bool:
    """Return whether a body with another Content-Type, or none, is a multipart message and not a DICOM file."""
    return body[_PREFIX] != b"DICM" and body[:_ENVELOPE_BYTES].lstrip(b"\r\n")[:2] == b"--"


def _opening_of(content_type: str, body: bytes) -> tuple[int, bytes]:
    """Return where the line of the first boundary begins, or -1, and the boundary with the dashes before it."""
    if found := _BOUNDARY.search(content_type):
        delimiter = b"--" + (found[1] or found[2]).encode("latin-1")
        if (opened := _line_of(delimiter, body)) >= 0:
            return opened, delimiter
    line = _OPENING.search(body, 0, _ENVELOPE_BYTES)
    return (line.start(1) - 2, b"--" + line[1]) if line else (-1, b"")


def _line_of(delimiter: bytes, body: bytes) -> int:
    """Return where the line of the first boundary begins, or -1. The text before it may contain the same characters."""
    if body.startswith(delimiter):
        return 0
    before = body.find(b"\n" + delimiter)
    return before + 1 if before >= 0 else -1
