"""Read the marker segments of a JPEG frame: its process, components, tables and scans (ITU-T T.81, annex B)."""

import re
import struct
from typing import NamedTuple

import numpy as np

LOSSLESS, PROGRESSIVE = 0xC3, 0xC2
SEQUENTIAL = (0xC0, 0xC1)
_FRAMES = (*SEQUENTIAL, PROGRESSIVE, LOSSLESS)
_DEFINE_HUFFMAN, _START_OF_SCAN, _END_OF_IMAGE, _RESTART_INTERVAL = 0xC4, 0xDA, 0xD9, 0xDD
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_END_OF_DATA = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
"""Matches a marker that ends the coded data of a scan, but no restart marker. 0xFF may be repeated as a fill byte."""
_SIZE = struct.Struct(">BHHB")
_MOST_SEGMENTS = 10_000
_MARK, _FIRST_RESTART = 0xFF, 0xD0


class Scan(NamedTuple):
    """One scan: which components it codes, and where its coded data lie."""

    components: bytes
    tables: bytes
    """The entropy coding tables of each component (Td and Ta)."""
    first: int
    last: int
    """`first` and `last` are the spectral selection; for lossless frames `first` is the predictor."""
    before: int
    shift: int
    """`before` and `shift` are Ah and Al of the successive approximation. `shift` can be a lossless point transform."""
    start: int
    end: int
    stuffed: int
    """Number of zeros behind 0xFF in the coded data of the first scan; decoders skip them (F.1.2.3)."""


class Jpeg(NamedTuple):
    """What the markers of a JPEG frame declare."""

    process: int
    rows_at: int
    precision: int
    rows: int
    columns: int
    components: bytes
    sampling: tuple[tuple[int, int], ...]
    """Horizontal and vertical sampling factors of each component."""
    restart: int
    tables: dict[int, bytes]
    """The Huffman tables that are defined before the first scan."""
    last_tables: dict[int, bytes]
    """The Huffman tables that are defined before the last scan."""
    scans: tuple[Scan, ...]


def read_markers(frame: bytes) -> Jpeg | None:  # noqa: C901 - one branch for each marker
    """Return the markers up to the end of the image; None if they are damaged, or the process has no Huffman codes."""
    position, sizes, restart = 2, b"", 0
    process = rows_at = 0
    tables: dict[int, bytes] = {}
    tables_of: list[dict[int, bytes]] = []
    scans: list[Scan] = []
    for _ in range(_MOST_SEGMENTS):
        while frame[position + 1 : position + 2] == b"\xff":
            position += 1
        if frame[position : position + 1] != b"\xff" or position + 2 > len(frame):
            return None
        marker = frame[position + 1]
        if marker == _END_OF_IMAGE:
            break
        if marker in _STANDALONE:
            position += 2
            continue
        end = position + 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
        content = frame[position + 4 : end]
        if marker in _FRAMES and not process:
            process, rows_at, sizes = marker, position + 5, content
        elif marker == _DEFINE_HUFFMAN:
            tables = tables | _huffman_tables(content)  # a new dictionary, as earlier scans keep theirs
        elif marker == _RESTART_INTERVAL:
            restart = int.from_bytes(content[:2], "big")
        elif marker == _START_OF_SCAN:
            scan = _scan(content, end, *(_later_end if scans else _first_end)(frame, end))
            scans.append(scan)
            tables_of.append(tables)
            end = scan.end
        position = end
    if not process or not scans:
        return None
    precision, rows, columns, count = _SIZE.unpack_from(sizes)
    each = [sizes[_SIZE.size + 3 * index :][:3] for index in range(count)]
    sampling = tuple((factors >> 4, factors & 15) for _, factors, _ in each)
    ids = bytes(identifier for identifier, _, _ in each)
    size = process, rows_at, precision, rows, columns
    return Jpeg(*size, ids, sampling, restart, tables_of[0], tables_of[-1], tuple(scans))


def _scan(content: bytes, start: int, end: int, stuffed: int) -> Scan:
    count = content[0]
    first, last, approximation = content[1 + 2 * count : 4 + 2 * count]
    pairs = content[1 : 1 + 2 * count]
    return Scan(pairs[::2], pairs[1::2], first, last, approximation >> 4, approximation & 15, start, end, stuffed)


def _first_end(frame: bytes, start: int) -> tuple[int, int]:
    """Return the end of coded data, and the number of stuffed zeros in them. Faster than a regular expression."""
    data = np.frombuffer(frame, np.uint8)[start:]
    marks = np.flatnonzero(data[:-1] == _MARK)
    following = data[marks + 1]
    ends = np.flatnonzero((following != 0) & (following != _MARK) & (following & 0xF8 != _FIRST_RESTART))
    if not len(ends):
        return len(frame), 0
    end = start + int(marks[ends[0]])
    while frame[end - 1] == _MARK and end > start:
        end -= 1
    return end, int(np.count_nonzero(following[: ends[0]] == 0))


def _later_end(frame: bytes, start: int) -> tuple[int, int]:
    found = _END_OF_DATA.search(frame, start)
    return (found.start() if found else len(frame)), 0


def _huffman_tables(content: bytes) -> dict[int, bytes]:
    """Return the number of codes of each length, and their symbols, by class and destination (B.2.4.2)."""
    tables = {}
    while len(content) > 16:  # noqa: PLR2004 - the numbers of codes of 1 to 16 bits
        end = 17 + sum(content[1:17])
        tables[content[0]] = content[1:end]
        content = content[end:]
    return tables
