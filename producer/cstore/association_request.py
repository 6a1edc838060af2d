"""Read the AE titles of an association request from its bytes, and check its size, before pynetdicom decodes it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

ASSOCIATE_RQ = 0x01
"""Type of the PDU that requests an association (DICOM PS3.8, section 9.3.2)."""
_CALLED, _CALLING = slice(4, 20), slice(20, 36)
"""Positions of the AE titles after the first six bytes of an A-ASSOCIATE-RQ PDU (DICOM PS3.8, table 9-11)."""
_ITEMS = 68
"""Position of the first variable item."""
_TITLE_BYTES = 16
_NO_TITLE = b"NO TITLE"
"""Replaces an empty title for pynetdicom, which aborts an association without a title. It is neither compared nor
shown."""
_CONTEXT, _USER = 0x20, 0x50
_KNOWN = frozenset({0x10, _CONTEXT, _USER})
_KNOWN_INSIDE = {_CONTEXT: frozenset({0x30, 0x40}), _USER: frozenset(range(0x51, 0x59))}
"""Types of the items of a request, and of the items inside them (DICOM PS3.8, section 9.3.2; PS3.7, annex D.3.3)."""
_VERSION_1 = b"\x00\x01"
_MOST_CONTEXTS = 128
"""Largest number of presentation contexts: their ids are the odd numbers from 1 to 255 (DICOM PS3.8, table 9-13)."""
_MOST_BYTES, _MOST_ITEMS = 512 * 1024, 8192
"""Larger requests are refused before they are decoded, because decoding takes about 10 us for each item. A request of
128 contexts with 64 transfer syntaxes each is within both limits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AssociationRequest:
    """The AE titles of an association request; empty if the sender gave none."""

    called_ae: str
    calling_ae: str
    is_too_large: bool = False
    """Whether the request has more bytes, presentation contexts or items than a caller needs."""


def read_request(body: bytearray) -> AssociationRequest:
    """Return the titles, and replace them in the request by titles that pynetdicom accepts.

    The standard pads AE titles with spaces. Some senders end a title with NUL, as programs in C do. Others send no
    title, or characters that are not ASCII.
    """
    request = AssociationRequest(
        called_ae=_title(bytes(body[_CALLED])),
        calling_ae=_title(bytes(body[_CALLING])),
        is_too_large=_is_too_large(body),
    )
    if len(body) >= _CALLING.stop:
        body[:2] = _VERSION_1 if body[1] & 1 else body[:2]  # only bit 0 is tested (DICOM PS3.8, table 9-11)
        body[_CALLED], body[_CALLING] = _field(request.called_ae), _field(request.calling_ae)
    return request


def without_unknown_items(body: bytearray) -> bytearray:
    """Return a request without items of unknown type, which are to be ignored (DICOM PS3.8, section 9.3.1).

    Pynetdicom would abort the association. A request whose lengths do not fit is returned as it is.
    """
    known, position = body[:_ITEMS], _ITEMS
    for kind, start, end in _items(body, _ITEMS, len(body)):
        if kind in _KNOWN_INSIDE:
            fixed = start + 4 if kind == _CONTEXT else start
            inside = b"".join(
                body[first - 4 : last]
                for inner, first, last in _items(body, fixed, end)
                if inner in _KNOWN_INSIDE[kind]
            )
            known += _item(kind, bytes(body[start:fixed]) + inside)
        elif kind in _KNOWN:
            known += body[start - 4 : end]
        if end - start != int.from_bytes(body[start - 2 : start]):
            return body
        position = end
    return known if position == len(body) else body


def refusable_request(body: bytearray) -> bytearray:
    """Return a request with the same titles and only one presentation context, so that rejecting it is cheap."""
    context = struct.pack(">BBBB", 1, 0, 0, 0) + _item(0x30, b"1.2.840.10008.1.1") + _item(0x40, b"1.2.840.10008.1.2")
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3")
    items = _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(_CONTEXT, context) + _item(_USER, user)
    return body[:_ITEMS].ljust(_ITEMS, b"\0") + items


def _is_too_large(body: bytearray) -> bool:
    if len(body) > _MOST_BYTES:
        return True
    contexts = items = 0
    for kind, start, end in _items(body, _ITEMS, len(body)):
        contexts += kind == _CONTEXT
        items += 1
        inner = start + 4 if kind == _CONTEXT else start
        if kind in (_CONTEXT, _USER):
            items += sum(1 for _ in _items(body, inner, end))
        if contexts > _MOST_CONTEXTS or items > _MOST_ITEMS:
            return True
    return False


def _items(body: bytearray, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield type, start and end of each item. An item whose length reaches beyond `end` is cut there."""
    while position + 4 <= end:
        kind, _, length = struct.unpack_from(">BBH", body, position)
        position += 4
        yield kind, position, min(position + length, end)
        position += length


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _title(field: bytes) -> str:
    """Return the title before the first NUL, without spaces around it, and with `?` for invalid characters."""
    text = field.partition(b"\0")[0].decode("ascii", "replace").strip()
    return "".join(letter if letter.isascii() and letter.isprintable() and letter != "\\" else "?" for letter in text)


def _field(title: str) -> bytes:
    return (title.encode("ascii") or _NO_TITLE).ljust(_TITLE_BYTES)
