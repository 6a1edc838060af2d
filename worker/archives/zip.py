"""Read the files of a zip archive (PKWARE APPNOTE 6.3)."""

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
from worker.archives.member import Member

_DIRECTORY_BYTES = 256
"""Maximum bytes of the central directory per allowed member. An entry with a usual file name of a CD is shorter."""
_END_MAGIC, _END_WITHIN = b"PK\x05\x06", 22 + 0xFFFF
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The accepted compression methods. Others are rare, and LZMA may need gigabytes of memory for the first byte."""
_DOCUMENTS = frozenset(("META-INF/MANIFEST.MF", "[Content_Types].xml"))
"""Members that mark a zip file as a Java program (.jar) or an office document. Such files are not unpacked."""
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""The exceptions that the module zipfile raises for broken files."""


def read_zip(data: bytes, meter: Meter) -> Iterator[Member]:
    """Yield the files of a zip archive. Raises the errors of worker.archives.detect.members."""
    try:
        with zipfile.ZipFile(_BoundedReads(data, meter.limits.members * _DIRECTORY_BYTES)) as archive:
            infos = archive.infolist()
            if not _DOCUMENTS.isdisjoint(archive.namelist()):
                raise RejectDicomImage(Reason.NOT_DICOM, "The file is a program or an office document.")
            for info in [info for info in infos if _is_file(info)]:
                meter.add_member()
                yield Member(info.filename, _read_member(archive, info, meter))
    except _ZIP_ERRORS as error:
        raise _explain_error(data, error) from None


def _is_file(info: zipfile.ZipInfo) -> bool:
    """Return whether the member is a file and not a folder. All members are checked before the first is unpacked.

    Raises RejectImage for a link, a name that leaves the folder, encryption, and compression other than deflate.
    """
    require_inside(info.filename)
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise RejectImage(Reason.ARCHIVE_ESCAPES)
    if info.flag_bits & _ENCRYPTED:
        raise RejectImage(Reason.BAD_ARCHIVE, "The archive is encrypted.")
    if info.compress_type not in _METHODS:
        raise RejectImage(Reason.BAD_ARCHIVE, "The archive uses a compression method other than deflate.")
    return not info.is_dir()


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, meter: Meter) -> Iterator[bytes]:
    """Yield the pieces of one member. Raises RejectImage unless length and checksum match the central directory."""
    try:
        with archive.open(info) as member:
            while piece := member.read(PIECE_BYTES):
                meter.add_bytes(len(piece))
                yield piece
    except _ZIP_ERRORS as error:
        raise _bad_archive(error) from None
    if meter.member_bytes != info.file_size:
        raise RejectImage(
            Reason.BAD_ARCHIVE, "The length of a file in the archive differs from the zip file's central directory."
        )


def _explain_error(data: bytes, error: Exception) -> RejectImage:
    """Return TRUNCATED if the central directory at the end of the file is missing, else BAD_ARCHIVE.

    A file without its end may still be arriving.
    """
    if _END_MAGIC not in data[-_END_WITHIN:]:
        return RejectImage(Reason.TRUNCATED, "The zip file is incomplete: the central directory at its end is missing.")
    return _bad_archive(error)


def _bad_archive(error: Exception) -> RejectImage:
    return RejectImage(Reason.BAD_ARCHIVE, f"The archive cannot be unpacked ({type(error).__name__}).")


class _BoundedReads(io.BytesIO):
    """Limits the size of one read: zipfile reads the whole central directory at once, however long it claims to be."""

    def __init__(self, data: bytes, max_bytes: int) -> None:
        super().__init__(data)
        self._size = len(data)
        self._max_bytes = max(max_bytes, PIECE_BYTES)

    def read(self, size: int | None = -1) -> bytes:
        """Read like BytesIO. Raises RejectImage(ARCHIVE_LIMITS) if more than the limit would be read at once."""
        left = max(0, self._size - self.tell())
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > self._max_bytes:
            raise RejectImage(Reason.ARCHIVE_LIMITS, "The directory of the archive is too long.")
        return super().read(wanted)
