"""Read the AE titles of an association request from its bytes, however the sender padded them."""

from dataclasses import dataclass

_CALLED, _CALLING = slice(4, 20), slice(20, 36)
"""Places of the AE titles behind the first six bytes of an A-ASSOCIATE-RQ PDU (DICOM PS3.8, table 9-11)."""
_TITLE_BYTES = 16
_NO_TITLE = b"NO TITLE"
"""Replaces an empty title for pynetdicom, which aborts an association without a title. It is neither compared nor
shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AssociationRequest:
    """The AE titles of an association request; empty if the sender gave none."""

    called_ae: str
    calling_ae: str


def read_request(body: bytearray) -> AssociationRequest:
    """Return the titles, and replace them in the request by titles that pynetdicom accepts.

    The standard pads AE titles with spaces. Some senders end them with NUL, as programs in C do, some send no title,
    and some send other characters than ASCII.
    """
    request = AssociationRequest(called_ae=_title(bytes(body[_CALLED])), calling_ae=_title(bytes(body[_CALLING])))
    if len(body) >= _CALLING.stop:
        body[_CALLED], body[_CALLING] = _field(request.called_ae), _field(request.calling_ae)
    return request


def _title(field: bytes) -> str:
    """Return the title before the first NUL, without spaces around it, and with `?` for invalid characters."""
    text = field.partition(b"\0")[0].decode("ascii", "replace").strip()
    return "".join(letter if letter.isascii() and letter.isprintable() and letter != "\\" else "?" for letter in text)


def _field(title: str) -> bytes:
    return (title.encode("ascii") or _NO_TITLE).ljust(_TITLE_BYTES)
