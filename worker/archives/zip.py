"""The files in a zip file (PKWARE APPNOTE 6.3)."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator

from imaging.errors import RejectDicomImage
from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.archives.limits import PIECE_BYTES, Meter, require_inside

_DIRECTORY_BYTES = 256
"""Of the central directory for each member that is allowed: less than that are typical names of a CD."""
_END_MARK, _END_WITHIN = b"PK\x05\x06", 22 + 0xFFFF
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Others are rare, and LZMA's asks for gigabytes of memory before the first byte."""
_DOCUMENTS = frozenset(("META-INF/MANIFEST.MF", "[Content_Types].xml"))
"""What programs (.jar) and office documents hold: zip files, and no archive of anybody's scans."""
_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What zipfile raises for broken ones."""


def read_zip(data: bytes, meter: Meter) -> Iterator[Iterator[bytes]]:
    """The pieces of one file after the other. Raises RejectImage as worker.archives.detect.members says."""
    try:
        with zipfile.ZipFile(_Bounded(data, meter.limits.members * _DIRECTORY_BYTES)) as archive:
            infos = archive.infolist()
            if not _DOCUMENTS.isdisjoint(archive.namelist()):
                raise RejectDicomImage(Reason.NOT_DICOM, "The file is a program or an office document.")
            for info in [info for info in infos if _is_file(info)]:
                meter.add_member()
                yield _unpacked(archive, info, meter)
    except _FAULTS as fault:
        raise _why_not(data, fault) from None


def _is_file(info: zipfile.ZipInfo) -> bool:
    """Asked of all members before the first is unpacked. Raises RejectImage for what we do not take."""
    require_inside(info.filename)
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise RejectImage(Reason.ARCHIVE_ESCAPES)
    if info.flag_bits & _ENCRYPTED:
        raise RejectImage(Reason.BAD_ARCHIVE, "The archive is encrypted.")
    if info.compress_type not in _METHODS:
        raise RejectImage(Reason.BAD_ARCHIVE, "The archive is compressed in another way than by deflate.")
    return not info.is_dir()


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, meter: Meter) -> Iterator[bytes]:
    """As long as the directory says, and with its checksum, or the archive is a bad one."""
    try:
        with archive.open(info) as member:
            while piece := member.read(PIECE_BYTES):
                meter.add_bytes(len(piece))
                yield piece
    except _FAULTS as fault:
        raise _bad(fault) from None
    if meter.member_bytes != info.file_size:
        raise RejectImage(Reason.BAD_ARCHIVE, "A file in the archive is not as long as the archive says.")


def _why_not(data: bytes, fault: Exception) -> RejectImage:
    """A zip file ends with its directory: while that is missing the rest may be on its way."""
    if _END_MARK not in data[-_END_WITHIN:]:
        return RejectImage(Reason.TRUNCATED, "The archive ends before its directory.")
    return _bad(fault)


def _bad(fault: Exception) -> RejectImage:
    return RejectImage(Reason.BAD_ARCHIVE, f"The archive cannot be unpacked ({type(fault).__name__}).")


class _Bounded(io.BytesIO):
    """Hands out little at once: zipfile reads the directory in one piece, as long as that claims to be."""

    def __init__(self, data: bytes, most_bytes: int) -> None:
        super().__init__(data)
        self._size = len(data)
        self._most_bytes = max(most_bytes, PIECE_BYTES)

    def read(self, size: int | None = -1) -> bytes:
        """Raise RejectImage(ARCHIVE_LIMITS) where that is too much."""
        left = max(0, self._size - self.tell())
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > self._most_bytes:
            raise RejectImage(Reason.ARCHIVE_LIMITS, "The archive's directory is too long.")
        return super().read(wanted)
