"""One instance of a store, as the bytes that it keeps."""

import re
from collections.abc import Callable
from urllib.parse import quote

from nightread.web import HttpResponse, MissingError, TooMuchError, UnexpectedError, Website

_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_AS_IT_LIKES = 'multipart/related; type="application/dicom"'
_ENVELOPE_BYTES = 64 * 1024
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)


def dicomweb_uri(study: str, series: str, instance: str) -> str:
    """Where WADO-RS has the instance of these UIDs, below the store's URL (DICOM PS3.18, section 10.4)."""
    return f"studies/{segment(study)}/series/{segment(series)}/instances/{segment(instance)}"


def orthanc_uri(orthanc_id: str) -> str:
    """Where Orthanc's own REST API has the file of an instance, below the server's URL."""
    return f"instances/{segment(orthanc_id)}/file"


def segment(name: str) -> str:
    """A UID or id as one segment of a path, whatever it holds. Raises ValueError for none, and for mere dots."""
    quoted = quote(name, safe="")
    if not quoted.strip("."):
        raise ValueError("no name of a resource")
    return quoted


def retrieve(
    site: Website, uri: str, *, max_bytes: int, on_bytes: Callable[[int], object] = lambda _count: None
) -> bytes:
    """The file of the instance at this uri, which one of the functions above made; in its own transfer syntax.

    Raises WebError: MissingError, TooMuchError beyond `max_bytes`.
    """
    if not uri.startswith("studies/"):
        answer = site.read(uri, {"Accept": "application/dicom, */*"}, max_bytes=max_bytes, on_bytes=on_bytes)
        return _no_page(answer).body
    limit = max_bytes + _ENVELOPE_BYTES
    try:
        answer = site.read(uri, {"Accept": _AS_STORED}, max_bytes=limit, on_bytes=on_bytes)
    except UnexpectedError:  # older stores know no wildcard, and send Explicit VR Little Endian unless they are asked
        answer = site.read(uri, {"Accept": _AS_IT_LIKES}, max_bytes=limit, on_bytes=on_bytes)
    data = _only_part(answer.content_type, _no_page(answer).body)
    if len(data) > max_bytes:
        raise TooMuchError(f"sends more than {max_bytes} bytes")
    return data


def _no_page(answer: HttpResponse) -> HttpResponse:
    """A proxy's login page comes with status 200, too: the image is not at fault."""
    if answer.content_type.lower().startswith(("text/", "application/json")):
        raise UnexpectedError("sends a page where an image should be: does something before it ask for a login?")
    return answer


def _only_part(content_type: str, body: bytes) -> bytes:
    """The content of the first part of a multipart message (RFC 2046, section 5.1); the body of any other."""
    if not content_type.lower().startswith("multipart/"):
        return body
    found = _BOUNDARY.search(content_type)
    if not found:
        raise UnexpectedError("answers in parts and does not say where they end")
    delimiter = b"--" + (found[1] or found[2]).encode("latin-1")
    opened = body.find(delimiter)
    begin = body.find(b"\r\n\r\n", opened)
    if opened < 0 or begin < 0:
        raise MissingError("answers with no part at all")
    end = body.find(b"\r\n" + delimiter, begin)
    if end < 0:
        raise UnexpectedError("broke off in the middle of a part")
    return body[begin + 4 : end]
