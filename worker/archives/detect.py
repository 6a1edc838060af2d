"""Detect archives (zip, tar, tar.gz) by their first bytes, and open them."""

import zlib
from collections.abc import Iterator
from enum import Enum

from worker.archives.limits import ArchiveLimits, Meter
from worker.archives.member import Member
from worker.archives.tar import TAR_MAGIC, TAR_MAGIC_OFFSET, read_tar
from worker.archives.zip import read_zip

_DICOM_MAGIC_OFFSET, _DICOM_MAGIC = 128, b"DICM"
_DICOM_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
"""First bytes of a DICOM file without preamble: group 0002 or 0008 in little endian, 0008 in big endian."""
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP_MAGIC = b"\x1f\x8b\x08"
_START_BYTES = 64 * 1024


class ArchiveKind(Enum):
    """The format of an archive."""

    ZIP = "zip"
    TAR = "tar"
    TAR_GZ = "tar.gz"


def archive_kind(data: bytes) -> ArchiveKind | None:
    """Return the format of an archive, or None for any other file.

    A DICOM file is never an archive, even if its preamble looks like one.
    """
    if data[_DICOM_MAGIC_OFFSET : _DICOM_MAGIC_OFFSET + 4] == _DICOM_MAGIC or data[:2] in _DICOM_FIRST_GROUPS:
        return None
    if data.startswith(_ZIP_MAGICS):
        return ArchiveKind.ZIP
    if _is_tar(data):
        return ArchiveKind.TAR
    return ArchiveKind.TAR_GZ if data.startswith(_GZIP_MAGIC) and _is_tar(_inflated_start(data)) else None


def members(data: bytes, kind: ArchiveKind, limits: ArchiveLimits) -> Iterator[Member]:
    """Yield the files of an archive in the order of the archive, each with its name and an iterator of its pieces.

    Read all pieces of a file before the next file. Member names are checked, but never used as paths. Raises
    RejectImage with BAD_ARCHIVE, TRUNCATED, ARCHIVE_LIMITS or ARCHIVE_ESCAPES, and with NOT_DICOM for a zip file that
    is a program or an office document.
    """
    meter = Meter(limits=limits)
    if kind is ArchiveKind.ZIP:
        return read_zip(data, meter)
    return read_tar(data, meter, inflate=kind is ArchiveKind.TAR_GZ)


def _is_tar(data: bytes) -> bool:
    return data[TAR_MAGIC_OFFSET : TAR_MAGIC_OFFSET + len(TAR_MAGIC)] == TAR_MAGIC


def _inflated_start(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(
            data[:_START_BYTES], TAR_MAGIC_OFFSET + len(TAR_MAGIC)
        )
    except zlib.error:
        return b""
