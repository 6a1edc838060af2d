"""Read the header of a DICOM file: its data set up to the pixel data, and its transfer syntax (PS3.10 section 7)."""

from dataclasses import dataclass

from imaging import tags
from imaging.deflate import inflate
from imaging.elements import Elements
from imaging.limits import Limits
from imaging.repeated_header import RepeatedHeaders
from imaging.walk import Encoding, TruncatedError
from nightread.errors import RejectImage
from nightread.reasons import Reason

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

_PREAMBLE_LENGTH = 128
_META_GROUP, _META_END = 0x0002, 0x00030000
_EXPLICIT = Encoding(implicit=False, little=True)
_IDENTIFYING = (tags.SOP_CLASS_UID, tags.SOP_INSTANCE_UID, tags.MODALITY, tags.ROWS)
_FIRST_GROUPS = (0x0002, 0x0008, 0x0800)
"""First groups of files without preamble: file meta information, data set, big endian data set read as little
endian."""

_repeated = RepeatedHeaders()


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The data set up to its pixel data, and the transfer syntax (None if the file does not declare it)."""

    elements: Elements
    transfer_syntax: str | None

    def check(self) -> None:
        """Raise RejectImage(TRUNCATED or BAD_HEADER) if the data set is incomplete or invalid."""
        fault = self.elements.fault
        if isinstance(fault, TruncatedError):
            raise RejectImage(Reason.TRUNCATED, str(fault))
        if fault:
            raise RejectImage(Reason.BAD_HEADER, str(fault))
        if not len(self.elements):
            raise RejectImage(Reason.TRUNCATED, "The file ends before its first element.")


def read_header(data: bytes, limits: Limits) -> Header:
    """Read the data set. An incomplete data set raises no error here, but in `Header.check`.

    Files without preamble and file meta information are accepted if they look like DICOM. Raises RejectImage:
    NOT_DICOM, or for a deflated data set TRUNCATED, BAD_HEADER, BAD_PIXELS and TOO_LARGE.
    """
    prefixed = data[_PREAMBLE_LENGTH : _PREAMBLE_LENGTH + 4] == b"DICM"
    if not prefixed and int.from_bytes(data[:2], "little") not in _FIRST_GROUPS:
        raise RejectImage(Reason.NOT_DICOM)
    if prefixed and (places := _repeated.find(data)) is not None:
        elements = Elements.at_known_places(data, places.encoding, places.start, places.end, places.found)
        return Header(elements=elements, transfer_syntax=places.transfer_syntax)
    meta = Elements(data, _EXPLICIT, _PREAMBLE_LENGTH + 4 if prefixed else 0, len(data), before=_META_END)
    syntax = meta.text(tags.TRANSFER_SYNTAX_UID)
    if syntax == DEFLATED_EXPLICIT_LITTLE:
        data, start = inflate(data, _end_of_meta(meta), limits), 0
    elif meta.fault:
        return Header(elements=meta, transfer_syntax=syntax)
    else:
        start = meta.end
    elements = Elements(data, _encoding(data, start, syntax), start, len(data))
    if prefixed and syntax != DEFLATED_EXPLICIT_LITTLE:
        _repeated.keep(data, meta, elements, syntax)
    if not prefixed and not any(tag in elements for tag in _IDENTIFYING):
        raise RejectImage(Reason.NOT_DICOM)
    return Header(elements=elements, transfer_syntax=syntax)


def _end_of_meta(meta: Elements) -> int:
    """Return the position at which the deflated bytes begin.

    They begin where the walk over the elements ended. If the walk mistook deflated bytes for elements, the group length
    tells the position.
    """
    length = meta.get(tags.FILE_META_LENGTH)
    if length is None or (meta.fault is None and all(tag >> 16 == _META_GROUP for tag in meta)):
        return meta.end
    return length[1] + length[2] + int.from_bytes(meta.raw(tags.FILE_META_LENGTH), "little")


def _encoding(data: bytes, start: int, syntax: str | None) -> Encoding:
    first_vr = data[start + 4 : start + 6]
    declared_explicit = syntax not in (None, IMPLICIT_LITTLE)
    # An invalid VR is printable; the length of a first element with implicit VR is not.
    explicit = (first_vr.isalpha() and first_vr.isupper()) or (declared_explicit and _is_printable(first_vr))
    if explicit and syntax is None:
        # A big endian file begins with a low group number, whose first byte is zero.
        return Encoding(implicit=False, little=data[start : start + 1] != b"\x00")
    return Encoding(implicit=not explicit, little=syntax != EXPLICIT_BIG)


def _is_printable(text: bytes) -> bool:
    return text.isascii() and text.decode("ascii").isprintable()
