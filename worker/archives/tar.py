"""The files in a tar file, walked from front to back (POSIX.1-2017 pax; GNU tar's long names and large sizes).

The standard library's walk reads a long name or a pax header whole, however many gigabytes it claims to be.
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

MARK_AT, MARK = 257, b"ustar"
_BLOCK = 512
_NAME_BYTES = 64 * 1024
"""Of a long name, or of a pax header."""
_MOST_HEADERS = 200_000
"""Folders have one and count as no file: a few megabytes of gzip hold millions, each 20 us of work."""


class _Type(Enum):
    FILE = (b"0", b"\0", b"7")
    FOLDER = (b"5",)
    LEADS_OUT = (b"1", b"2", b"3", b"4", b"6")  # links, devices, pipes
    LONG_NAME = (b"L",)
    PAX = (b"x", b"X")
    SKIPPED = (b"g", b"K", b"V")  # global pax header, long name of a link, label


_TYPES = {letter: kind for kind in _Type for letter in kind.value}


def read_tar(data: bytes, meter: Meter, *, inflate: bool) -> Iterator[Iterator[bytes]]:
    """The pieces of one file after the other. Raises RejectImage as worker.archives.detect.members says."""
    tar = _TarReader(data, meter, inflate=inflate)
    name: str | None = None
    size: int | None = None
    while header := tar.header():
        kind = _TYPES.get(header.type)
        if kind is _Type.LONG_NAME:
            name = tar.short(header.size).rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif kind is _Type.PAX:
            name, size = _overridden(tar.short(header.size), name)
        elif kind is _Type.SKIPPED:
            tar.short(header.size)
        elif kind is None:
            raise RejectImage(Reason.BAD_ARCHIVE, "The archive has a part of a kind that we do not take.")
        else:
            require_inside(name or header.name)
            if kind is _Type.LEADS_OUT:
                raise RejectImage(Reason.ARCHIVE_ESCAPES)
            if kind is _Type.FILE:
                meter.add_member()
                yield tar.file(header.size if size is None else size)
            name = size = None
    tar.run_out()


class _TarReader:
    """Bytes that are read once; inflated where they are gzip's, and counted either way."""

    def __init__(self, data: bytes, meter: Meter, *, inflate: bool) -> None:
        plain = io.BytesIO(data)
        self._stream = gzip.GzipFile(fileobj=plain) if inflate else plain
        self._meter = meter
        self._headers = 0

    def header(self) -> tarfile.TarInfo | None:
        """The next one; None at the mark that ends the archive."""
        block = self._exactly(_BLOCK)
        if not block.strip(b"\0"):
            return None
        self._headers += 1
        if self._headers > _MOST_HEADERS:
            raise RejectImage(Reason.ARCHIVE_LIMITS, f"The archive has more than {_MOST_HEADERS:,} headers.")
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as fault:
            raise _bad(fault) from None
        if header.size < 0:
            raise RejectImage(Reason.BAD_ARCHIVE, "A file in the archive has less than no bytes.")
        return header

    def short(self, size: int) -> bytes:
        """The data of a header that speaks of the next one."""
        if size > _NAME_BYTES:
            raise RejectImage(Reason.ARCHIVE_LIMITS, "A name in the archive is too long.")
        return self._exactly(size + -size % _BLOCK)[:size]

    def file(self, size: int) -> Iterator[bytes]:
        """The data of a file, and on to the next header."""
        left = size
        while left:
            piece = self._exactly(min(left, PIECE_BYTES))
            left -= len(piece)
            yield piece
        self._exactly(-size % _BLOCK)

    def run_out(self) -> None:
        """To the end, where gzip keeps its checksum."""
        while self._read(PIECE_BYTES):
            pass

    def _exactly(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) < size:
            raise RejectImage(Reason.TRUNCATED, "The archive ends before its last file does.")
        return data

    def _read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except EOFError:
            raise RejectImage(Reason.TRUNCATED, "The archive ends before its last file does.") from None
        except (OSError, zlib.error) as fault:
            raise _bad(fault) from None
        self._meter.add_bytes(len(data))
        return data


def _overridden(records: bytes, name: str | None) -> tuple[str | None, int | None]:
    """Name and size from a pax header: records of `length keyword=value` and a line feed."""
    size = None
    while records.strip(b"\0"):
        length, _, _ = records.partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(records):
            raise RejectImage(Reason.BAD_ARCHIVE, "A header of the archive makes no sense.")
        record, records = records[len(length) + 1 : int(length) - 1], records[int(length) :]
        keyword, _, value = record.partition(b"=")
        if keyword == b"path":
            name = value.decode("utf-8", "surrogateescape")
        elif keyword == b"size" and value.isdigit():
            size = int(value[:20])
        elif keyword.startswith(b"GNU.sparse"):
            raise RejectImage(Reason.BAD_ARCHIVE, "The archive holds a sparse file, which we do not take.")
    return name, size


def _bad(fault: Exception) -> RejectImage:
    return RejectImage(Reason.BAD_ARCHIVE, f"The archive cannot be unpacked ({type(fault).__name__}).")
