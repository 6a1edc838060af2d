"""Read the files of a tar archive from front to back (POSIX.1-2017 pax; long names and large sizes of GNU tar).

The standard module tarfile only parses single headers here, because it would read a name of any length into memory.
"""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from enum import Enum

from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.archives.limits import PIECE_BYTES, Meter, require_inside
from worker.archives.member import Member

TAR_MAGIC_OFFSET, TAR_MAGIC = 257, b"ustar"
_BLOCK = 512
_MAX_EXTENSION_BYTES = 64 * 1024
"""Largest accepted long name or pax header."""
_MAX_HEADERS = 200_000
"""Maximum number of headers. The limit of files is not enough, because folders have headers too. A few megabytes of
gzip can hold millions of headers, and reading one takes 20 us."""
_INCOMPLETE = "The archive is incomplete: it ends within a file or a header."


class _Type(Enum):
    FILE = (b"0", b"\0", b"7")
    FOLDER = (b"5",)
    LINK_OR_DEVICE = (b"1", b"2", b"3", b"4", b"6")  # links, devices, pipes
    LONG_NAME = (b"L",)
    PAX = (b"x", b"X")
    SKIPPED = (b"g", b"K", b"V")  # global pax header, long name of a link, label


_TYPES = {letter: kind for kind in _Type for letter in kind.value}


def read_tar(data: bytes, meter: Meter, *, inflate: bool) -> Iterator[Member]:
    """Yield the files of a tar archive. Raises the errors of worker.archives.detect.members."""
    tar = _TarReader(data, meter, inflate=inflate)
    name: str | None = None
    size: int | None = None
    while header := tar.header():
        kind = _TYPES.get(header.type)
        if kind is _Type.LONG_NAME:
            name = tar.read_extension(header.size).rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif kind is _Type.PAX:
            name, size = _parse_pax(tar.read_extension(header.size), name)
        elif kind is _Type.SKIPPED:
            tar.read_extension(header.size)
        elif kind is None:
            raise RejectImage(Reason.BAD_ARCHIVE, "The archive contains an entry of an unsupported type.")
        else:
            require_inside(name or header.name)
            if kind is _Type.LINK_OR_DEVICE:
                raise RejectImage(Reason.ARCHIVE_ESCAPES)
            if kind is _Type.FILE:
                meter.add_member()
                yield Member(name or header.name, tar.file(header.size if size is None else size))
            name = size = None
    tar.read_to_end()


class _TarReader:
    """Reads a tar stream once, decompresses it if it is gzip, and counts its bytes."""

    def __init__(self, data: bytes, meter: Meter, *, inflate: bool) -> None:
        plain = io.BytesIO(data)
        self._stream = gzip.GzipFile(fileobj=plain) if inflate else plain
        self._meter = meter
        self._headers = 0

    def header(self) -> tarfile.TarInfo | None:
        """Return the next header, or None at the zero block that ends the archive."""
        block = self._read_exactly(_BLOCK)
        if not block.strip(b"\0"):
            return None
        self._headers += 1
        if self._headers > _MAX_HEADERS:
            raise RejectImage(Reason.ARCHIVE_LIMITS, f"The archive has more than {_MAX_HEADERS:,} headers.")
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise _bad_archive(error) from None
        if header.size < 0:
            raise RejectImage(Reason.BAD_ARCHIVE, "A file in the archive has a negative size.")
        return header

    def read_extension(self, size: int) -> bytes:
        """Return the data of an extension header (long name or pax), which describes the next header."""
        if size > _MAX_EXTENSION_BYTES:
            raise RejectImage(Reason.ARCHIVE_LIMITS, "A name in the archive is too long.")
        return self._read_exactly(size + -size % _BLOCK)[:size]

    def file(self, size: int) -> Iterator[bytes]:
        """Yield the data of a file in pieces, then skip the padding before the next header."""
        remaining = size
        while remaining:
            piece = self._read_exactly(min(remaining, PIECE_BYTES))
            remaining -= len(piece)
            yield piece
        self._read_exactly(-size % _BLOCK)

    def read_to_end(self) -> None:
        """Read the rest of the stream, so that the gzip checksum at its end is verified."""
        while self._read(PIECE_BYTES):
            pass

    def _read_exactly(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) < size:
            raise RejectImage(Reason.TRUNCATED, _INCOMPLETE)
        return data

    def _read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except EOFError:
            raise RejectImage(Reason.TRUNCATED, _INCOMPLETE) from None
        except (OSError, zlib.error) as error:
            raise _bad_archive(error) from None
        self._meter.add_bytes(len(data))
        return data


def _parse_pax(records: bytes, name: str | None) -> tuple[str | None, int | None]:
    """Return name and size from a pax header. It consists of records: `length keyword=value` and a line feed."""
    size = None
    while records.strip(b"\0"):
        length, _, _ = records.partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(records):
            raise RejectImage(Reason.BAD_ARCHIVE, "An extended header of the archive is invalid.")
        record, records = records[len(length) + 1 : int(length) - 1], records[int(length) :]
        keyword, _, value = record.partition(b"=")
        if keyword == b"path":
            name = value.decode("utf-8", "surrogateescape")
        elif keyword == b"size" and value.isdigit():
            size = int(value[:20])
        elif keyword.startswith(b"GNU.sparse"):
            raise RejectImage(Reason.BAD_ARCHIVE, "The archive contains a sparse file, which is not supported.")
    return name, size


def _bad_archive(error: Exception) -> RejectImage:
    return RejectImage(Reason.BAD_ARCHIVE, f"The archive cannot be unpacked ({type(error).__name__}).")
