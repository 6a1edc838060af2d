"""Retrieve one instance from a store, in the transfer syntax in which it is stored."""

import re
from collections.abc import Callable
from urllib.parse import quote

from nightread.web import HttpClient, HttpResponse, MissingError, TooMuchError, UnexpectedError

_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_DEFAULT_SYNTAX = 'multipart/related; type="application/dicom"'
_ENVELOPE_BYTES = 64 * 1024
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)


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
    limit = max_bytes + _ENVELOPE_BYTES
    try:
        response = client.read(uri, {"Accept": _AS_STORED}, max_bytes=limit, on_bytes=on_bytes)
    except UnexpectedError:  # older stores reject the wildcard; without it they send Explicit VR Little Endian
        response = client.read(uri, {"Accept": _DEFAULT_SYNTAX}, max_bytes=limit, on_bytes=on_bytes)
    data = _first_part(response.content_type, _require_dicom(response).body)
    if len(data) > max_bytes:
        raise TooMuchError(f"sent more than {max_bytes} bytes")
    return data


def _require_dicom(response: HttpResponse) -> HttpResponse:
    """Raise UnexpectedError for a web page: a proxy may send its login page with status 200."""
    if response.content_type.lower().startswith(("text/", "application/json")):
        raise UnexpectedError("sent a web page instead of an image: check whether a proxy asks for a login")
    return response


def _first_part(content_type: str, body: bytes) -> bytes:
    """Return the content of the first part of a multipart message (RFC 2046, section 5.1), or any other body whole."""
    if not content_type.lower().startswith("multipart/"):
        return body
    found = _BOUNDARY.search(content_type)
    if not found:
        raise UnexpectedError("sent a multipart message without a boundary")
    delimiter = b"--" + (found[1] or found[2]).encode("latin-1")
    opened = body.find(delimiter)
    begin = body.find(b"\r\n\r\n", opened)
    if opened < 0 or begin < 0:
        raise MissingError("sent a multipart message without any part")
    end = body.find(b"\r\n" + delimiter, begin)
    if end < 0:
        raise UnexpectedError("sent an incomplete multipart message")
    return body[begin + 4 : end]
