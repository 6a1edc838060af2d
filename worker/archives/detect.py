"""Files that hold files: zip, tar, and tar in gzip. No name of a member is ever used as a path."""

import zlib
from collections.abc import Iterator
from enum import Enum

from worker.archives.limits import ArchiveLimits, Meter
from worker.archives.tar import MARK, MARK_AT, read_tar
from worker.archives.zip import read_zip

_DICOM_AT, _DICOM_MARK = 128, b"DICM"
_DICOM_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
"""Of DICOM files without preamble (imaging.header)."""
_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP_MARK = b"\x1f\x8b\x08"
_LOOK_BYTES = 64 * 1024


class ArchiveKind(Enum):
    """How the members are packed."""

    ZIP = "zip"
    TAR = "tar"
    TAR_GZ = "tar.gz"


def archive_kind(data: bytes) -> ArchiveKind | None:
    """What the bytes are; None for anything but an archive. A DICOM file never is one, whatever its preamble says."""
    if data[_DICOM_AT : _DICOM_AT + 4] == _DICOM_MARK or data[:2] in _DICOM_FIRST_GROUPS:
        return None
    if data.startswith(_ZIP_MARKS):
        return ArchiveKind.ZIP
    if _is_tar(data):
        return ArchiveKind.TAR
    return ArchiveKind.TAR_GZ if data.startswith(_GZIP_MARK) and _is_tar(_inflated_start(data)) else None


def members(data: bytes, kind: ArchiveKind, limits: ArchiveLimits) -> Iterator[Iterator[bytes]]:
    """The files in an archive, in its order; the pieces of each are to be read before the next is asked for.

    Raises RejectImage: BAD_ARCHIVE, TRUNCATED, ARCHIVE_LIMITS, ARCHIVE_ESCAPES, and NOT_DICOM for a zip file that is
    a program or an office document.
    """
    meter = Meter(limits=limits)
    if kind is ArchiveKind.ZIP:
        return read_zip(data, meter)
    return read_tar(data, meter, inflate=kind is ArchiveKind.TAR_GZ)


def _is_tar(data: bytes) -> bool:
    return data[MARK_AT : MARK_AT + len(MARK)] == MARK


def _inflated_start(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data[:_LOOK_BYTES], MARK_AT + len(MARK))
    except zlib.error:
        return b""
