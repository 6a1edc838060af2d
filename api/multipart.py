"""Read multipart bodies (`multipart/form-data` and `multipart/related`) part by part, while they arrive."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.problems import Problem

_MOST_PARTS = 5000
_MOST_HEADERS = 20
_HEADER_BYTES = 8192
_LONGEST_BOUNDARY = 200
"""Longest accepted boundary, in characters. RFC 2046, section 5.1.1, allows 70, but Orthanc's DICOMweb plugin 1.7 sends
73."""
_LONGEST_PREAMBLE = 16 * 1024
"""Most bytes before the first boundary. They are ignored (RFC 2046, section 5.1.1)."""


@dataclass(frozen=True, slots=True)
class PartBegins:
    """The event that the headers of a part are complete. The names of the headers are in lower case."""

    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """The event that some bytes of the content of the current part arrived."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The event that the content of the current part is complete."""


PartEvent = PartBegins | PartData | PartEnds


def media_type(header: str | None) -> tuple[str, dict[str, str]]:
    """Return the media type, in lower case, and the parameters of a header Content-Type; ("", {}) without a header."""
    kind, options = parse_options_header(header)
    return kind.decode("latin-1").lower(), {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in options.items()
    }


async def part_events(chunks: AsyncIterator[bytes], boundary: str | None) -> AsyncIterator[PartEvent]:
    """Yield the parts of a body as events. Raises Problem 400 for an invalid body, and 413 for too many parts."""
    if not boundary or len(boundary) > _LONGEST_BOUNDARY or not boundary.isascii():
        raise Problem(HTTPStatus.BAD_REQUEST, "The header Content-Type has no valid boundary.")
    collector, preamble = _Collector(boundary), _Preamble(boundary)
    async for received in chunks:
        chunk = preamble.removed_from(received)
        for event in collector.feed(chunk):
            yield event
    for event in collector.finish():
        yield event


class _Preamble:
    """Removes what stands before the first boundary, since the parser does not accept it."""

    def __init__(self, boundary: str) -> None:
        self._delimiter = b"--" + boundary.encode("ascii")
        self._held = b""
        self._is_past = False

    def removed_from(self, chunk: bytes) -> bytes:
        """Return the bytes of the body from the first boundary on. Raises Problem 400 if the preamble is too long."""
        if self._is_past:
            return chunk
        self._held += chunk
        start = 0 if self._held.startswith(self._delimiter) else self._held.find(b"\r\n" + self._delimiter) + 2
        if start == 1:  # not found yet
            if len(self._held) > _LONGEST_PREAMBLE:
                raise Problem(
                    HTTPStatus.BAD_REQUEST, "The body does not begin with the boundary that Content-Type names."
                )
            return b""
        self._is_past = True
        return self._held[start:]


class _Collector:
    """Turns the callbacks of the parser into events."""

    def __init__(self, boundary: str) -> None:
        self._events: list[PartEvent] = []
        self._headers: dict[str, str] = {}
        self._name = self._value = b""
        self._parts = 0
        self._is_complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": lambda: self._events.append(PartBegins(self._headers)),
                "on_part_data": lambda data, start, end: self._events.append(PartData(data[start:end])),
                "on_part_end": lambda: self._events.append(PartEnds()),
                "on_end": self._end,
            },
            max_header_count=_MOST_HEADERS,
            max_header_size=_HEADER_BYTES,
        )

    def feed(self, chunk: bytes) -> list[PartEvent]:
        """Parse the next bytes of the body, and return their events."""
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise Problem(HTTPStatus.BAD_REQUEST, "The body is not a valid multipart message.") from None
        return self._taken()

    def finish(self) -> list[PartEvent]:
        """Return the last events. Raises Problem 400 if the closing boundary did not arrive."""
        if not self._is_complete:
            raise Problem(HTTPStatus.BAD_REQUEST, "The multipart body ends before its closing boundary.")
        return self._taken()

    def _taken(self) -> list[PartEvent]:
        events, self._events = self._events, []
        return events

    def _begin(self) -> None:
        self._headers = {}
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has more than {_MOST_PARTS:,} parts.")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1").strip()
        self._name = self._value = b""

    def _end(self) -> None:
        self._is_complete = True
