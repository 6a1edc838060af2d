"""The marker segments of JPEG frames, made by hand (ITU-T T.81, annex B)."""

import struct

import pytest
from test_imaging_frame_headers import END, START, segment

from imaging.jpeg_markers import Jpeg, Scan, read_markers

GREY = b"\x01\x11\x00"
"""A component: its number, its sampling factors, its quantization table."""
CODED = b"abc"


def size(components: bytes = GREY, *, marker: int = 0xC0, rows: int = 5) -> bytes:
    """Return a frame header of 8-bit samples with 7 columns (B.2.2)."""
    return segment(marker, struct.pack(">BHHB", 8, rows, 7, len(components) // 3) + components)


def scan(pairs: bytes = b"\x01\x00", first: int = 0, last: int = 63, approximation: int = 0) -> bytes:
    """Return a scan header (B.2.3)."""
    return segment(0xDA, bytes([len(pairs) // 2]) + pairs + bytes((first, last, approximation)))


def jpeg_of(*parts: bytes) -> Jpeg:
    """Return the markers of a frame."""
    found = read_markers(START + b"".join(parts))
    assert found is not None
    return found


def data_of(coded: bytes, *, second: bool = False) -> tuple[bytes, int]:
    """Return what are the coded data of the first or of the second scan, and the number of stuffed zeros."""
    before = (scan(), CODED) if second else ()
    frame = START + b"".join((size(), *before, scan(), coded))
    found = read_markers(frame)
    assert found is not None
    return frame[found.scans[-1].start : found.scans[-1].end], found.scans[-1].stuffed


def test_the_markers_of_a_frame() -> None:
    """13 bytes of size from 2 on, 10 of the scan header, three of coded data."""
    assert jpeg_of(size(), scan(), CODED, END) == Jpeg(
        process=0xC0,
        rows_at=7,
        precision=8,
        rows=5,
        columns=7,
        components=b"\x01",
        sampling=((1, 1),),
        restart=0,
        tables={},
        last_tables={},
        scans=(Scan(b"\x01", b"\x00", 0, 63, 0, 0, start=25, end=28, stuffed=0),),
    )


@pytest.mark.parametrize("marker", range(0xC0, 0xD0))
def test_the_processes_with_huffman_codes_are_read(marker: int) -> None:
    """Baseline, extended, progressive and lossless: SOF0 to SOF3 (table B.1)."""
    found = read_markers(START + size(marker=marker) + scan() + CODED + END)
    assert (found.process if found else None) == (marker if marker <= 0xC3 else None)


def test_the_first_frame_header_counts() -> None:
    """The position of its rows, too."""
    comment = segment(0xFE, bytes(8))
    found = jpeg_of(comment, size(rows=6), size(marker=0xC2), scan(), CODED, END)
    assert (found.process, found.rows, found.rows_at) == (0xC0, 6, 19)


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (END,),
        (size(), END),
        (scan(), CODED, END),
        (size(), scan(), CODED),
        (size(), scan(), b"ab\xff"),
        (size(), scan(), CODED, scan(), CODED),
        (size(), b"\x00\xfe\x00\x02", scan(), CODED, END),
        (size(), scan(), CODED, b"\xff\xfe\x00\x02"),
        (size(), scan(), CODED, b"\xff\xfe\x00\x02\xff"),
        (size(), b"\x00\x00", scan(), CODED, END),
        (size(), scan(), CODED, segment(0xFE, b"ab"), b"\x00\x00", END),
        (b"\xff\xff\xff",),
    ],
    ids=[
        *("nothing", "an end", "no scan", "no frame header", "no end of the data", "half a marker in the data"),
        *("no end of later data", "a segment that does not begin with 0xFF", "no end", "half an end"),
        *("foreign bytes", "foreign bytes behind the data", "fill bytes"),
    ],
)
def test_damaged_markers_are_not_read(parts: tuple[bytes, ...]) -> None:
    """A frame header, a scan, and an end are needed, and nothing between the segments."""
    assert read_markers(START + b"".join(parts)) is None


def test_fill_bytes_and_markers_without_length() -> None:
    """0xFF may be repeated before a marker (B.1.1.2); TEM, RST and SOI have no length (table B.1)."""
    alone = b"".join(bytes((0xFF, marker)) for marker in (0x01, *range(0xD0, 0xD9)))
    found = jpeg_of(alone, b"\xff\xff", size(), scan(), CODED, b"\xff", END)
    assert found.rows_at == 2 + 20 + 2 + 5
    assert jpeg_of(size(), alone, scan(), CODED, END).scans[0].start == 45


def test_components_and_their_sampling_factors() -> None:
    """Horizontal in the high half-byte (B.2.2)."""
    found = jpeg_of(size(b"\x05\x21\x00\x06\x12\x01\x09\x11\x01"), scan(), CODED, END)
    assert found.components == b"\x05\x06\x09"
    assert found.sampling == ((2, 1), (1, 2), (1, 1))


def test_a_scan_header() -> None:
    """Component and tables take turns; then the spectral selection, and two half-bytes of approximation."""
    found = jpeg_of(size(), scan(b"\x05\x12\x06\x34", 3, 9, 0x21), CODED, END)
    (only,) = found.scans
    longer = segment(0xDA, b"\x02\x05\x12\x06\x34\x03\x09\x21" + b"\x77\x77")
    assert jpeg_of(size(), longer, CODED, END).scans[0][:6] == only[:6]
    assert (only.components, only.tables) == (b"\x05\x06", b"\x12\x34")
    assert (only.first, only.last, only.before, only.shift) == (3, 9, 2, 1)


def test_the_last_restart_interval_counts() -> None:
    """It has two bytes (B.2.4.4)."""
    found = jpeg_of(segment(0xDD, b"\x00\x07"), size(), segment(0xDD, b"\x01\x02\x03"), scan(), CODED, END)
    assert found.restart == 258


def codes(destination: int, *symbols: bytes) -> bytes:
    """Return a Huffman table with these symbols of 1 bit, 2 bits and so on."""
    counts = bytes(map(len, symbols)).ljust(16, b"\0")
    return bytes([destination]) + counts + b"".join(symbols)


def test_huffman_tables() -> None:
    """Several in a segment; a later one replaces the one before. Those behind the first scan are not its own."""
    tables = segment(0xC4, codes(0, b"\x05") + codes(0x11, b"", b"\x06\x07")), segment(0xC4, codes(0, b"\x08"))
    later = segment(0xC4, codes(1, b"\x09"))
    found = jpeg_of(*tables, size(), scan(), CODED, later, scan(), CODED, END)
    first = {0: b"\x01" + bytes(15) + b"\x08", 0x11: b"\x00\x02" + bytes(14) + b"\x06\x07"}
    assert found.tables == first
    assert found.last_tables == first | {1: b"\x01" + bytes(15) + b"\x09"}
    assert jpeg_of(*tables, size(), scan(), CODED, later, END).last_tables == first


@pytest.mark.parametrize(("left", "tables"), [(16, {}), (17, {3: bytes(16)})])
def test_a_table_without_symbols_has_17_bytes(left: int, tables: dict[int, bytes]) -> None:
    """Fewer are none."""
    found = jpeg_of(segment(0xC4, (b"\x03" + bytes(16))[:left]), size(), scan(), CODED, END)
    assert found.tables == tables


@pytest.mark.parametrize(
    ("coded", "data", "stuffed"),
    [
        (b"abc\xff\xd9", b"abc", 0),
        (b"\xff\x00\xff\x00c\xff\xd9", b"\xff\x00\xff\x00c", 2),
        (b"a\xff\xd0b\xff\xd7\xff\x00\xff\xd9", b"a\xff\xd0b\xff\xd7\xff\x00", 1),
        (b"abc\xff\xff\xff\xd9", b"abc", 0),
        (b"a\xff\xff\xd3b\xff\xd9", b"a\xff\xff\xd3b", 0),
        (b"a\xff\xfe\x00\x03\xff\xff\xd9", b"a", 0),
        (b"a\xff\x01\xff\xd9", b"a", 0),
        (b"a\xff\xd8\xff\xd9", b"a", 0),
        (b"a\xff\x00\xff\xfe\x00\x04\xff\x00\xff\xd9", b"a\xff\x00", 1),
        (b"\xff\xd9", b"", 0),
        (b"\xff\xff\xd9", b"", 0),
    ],
)
def test_where_the_coded_data_end(coded: bytes, data: bytes, stuffed: int) -> None:
    """Before a marker that is not RST, and before its fill bytes. Zeros behind 0xFF are stuffed (F.1.2.3)."""
    assert data_of(coded) == (data, stuffed)
    assert data_of(coded, second=True) == (data, 0)


def test_empty_data_do_not_begin_in_their_header() -> None:
    """The last byte of the scan header is 0xFF, which is no fill byte."""
    (only,) = jpeg_of(size(), scan(approximation=0xFF), b"\xff\xff", END).scans
    assert (only.start, only.end, only.before, only.shift) == (25, 25, 15, 15)


def test_several_scans() -> None:
    """Other segments may be between them."""
    found = jpeg_of(size(), scan(last=0), b"ab", segment(0xFE, b"\xff\xd9"), scan(first=1), b"cd\xff\x00", END)
    assert [(each.first, each.last) for each in found.scans] == [(0, 0), (1, 63)]
    assert [(each.start, each.end) for each in found.scans] == [(25, 27), (43, 47)]
