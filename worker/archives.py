"""Files that hold files: zip, tar, and tar in gzip. No name of a member is ever used as a path."""

import zlib
from collections.abc import Iterator
from enum import Enum

from worker.allowance import Allowance, Meter
from worker.tape import MARK, MARK_AT, read_tape
from worker.zipped import read_zip

_DICOM_AT, _DICOM_MARK = 128, b"DICM"
_DICOM_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
"""Of DICOM files without preamble (imaging.header)."""
_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP_MARK = b"\x1f\x8b\x08"
_LOOK_BYTES = 64 * 1024


class Kind(Enum):
    """How the members are packed."""

    ZIP = "zip"
    TAR = "tar"
    TAR_GZ = "tar.gz"


def kind_of(data: bytes) -> Kind | None:
    """What the bytes are; None for anything but an archive. A DICOM file never is one, whatever its preamble says."""
    if data[_DICOM_AT : _DICOM_AT + 4] == _DICOM_MARK or data[:2] in _DICOM_FIRST_GROUPS:
        return None
    if data.startswith(_ZIP_MARKS):
        return Kind.ZIP
    if _is_tape(data):
        return Kind.TAR
    return Kind.TAR_GZ if data.startswith(_GZIP_MARK) and _is_tape(_inflated_start(data)) else None


def members(data: bytes, kind: Kind, allowance: Allowance) -> Iterator[Iterator[bytes]]:
    """The files in an archive, in its order; the pieces of each are to be read before the next is asked for.

    Raises RejectImage: BAD_ARCHIVE, TRUNCATED, ARCHIVE_LIMITS, ARCHIVE_ESCAPES, and NOT_DICOM for a zip file that is
    a program or an office document.
    """
    meter = Meter(allowance=allowance)
    if kind is Kind.ZIP:
        return read_zip(data, meter)
    return read_tape(data, meter, inflate=kind is Kind.TAR_GZ)


def _is_tape(data: bytes) -> bool:
    return data[MARK_AT : MARK_AT + len(MARK)] == MARK


def _inflated_start(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data[:_LOOK_BYTES], MARK_AT + len(MARK))
    except zlib.error:
        return b""
