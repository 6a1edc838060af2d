"""The header of a JPEG or JPEG-LS frame, made by hand marker by marker (ITU-T T.81, annex B; T.87, annex C)."""

import struct

import pytest

from imaging.codestream import Codestream, Coding, Colours, is_lossless, lacks_end_marker, read_codestream

START, END = b"\xff\xd8", b"\xff\xd9"


def segment(marker: int, payload: bytes) -> bytes:
    """Return a marker with its length and its content."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def frame_header(
    marker: int = 0xC0,
    *,
    samples: int = 3,
    ids: bytes = b"\x01\x02\x03",
    sampling: bytes = b"\x11\x11\x11",
    tables: bytes = b"\x00\x00\x00",
) -> bytes:
    """Return a frame header of 8-bit samples, 5 rows and 7 columns."""
    components = bytes(value for each in zip(ids, sampling, tables, strict=True) for value in each)
    return segment(marker, struct.pack(">BHHB", 8, 5, 7, samples) + components[: 3 * samples])


def scan(near: int = 0, samples: int = 3) -> bytes:
    """Return a scan header; NEAR of JPEG-LS is where the spectral selection of JPEG begins."""
    return segment(0xDA, bytes([samples]) + b"\x01\x00" * samples + bytes([near, 0, 0]))


JFIF = segment(0xE0, b"JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00")


def adobe(transform: int, name: bytes = b"Adobe") -> bytes:
    """Return the marker of Adobe: version, two flags, transform."""
    return segment(0xEE, name + b"\x00\x64\x00\x00\x00\x00" + bytes([transform]))


def stream_of(*parts: bytes) -> Codestream:
    found = read_codestream(START + b"".join(parts))
    assert found is not None
    return found


LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}


@pytest.mark.parametrize("marker", [*(set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC})])
def test_the_marker_says_whether_the_coding_is_lossless(marker: int) -> None:
    """Table B.1: SOF3, SOF7, SOF11 and SOF15 are lossless."""
    expected = Coding.JPEG_LOSSLESS if marker in LOSSLESS else Coding.JPEG
    found = stream_of(frame_header(marker, samples=1))
    assert found == Codestream(5, 7, 1, 8, signed=False, coding=expected)
    assert is_lossless(b"", found) is (marker in LOSSLESS)


@pytest.mark.parametrize("marker", [0xC4, 0xC8, 0xCC, 0xBF, 0xF6, 0xF8])
def test_other_markers_are_no_frame_headers(marker: int) -> None:
    """DHT, JPG and DAC have numbers between those of the frame headers."""
    assert read_codestream(START + frame_header(marker)) is None
    assert stream_of(frame_header(marker), frame_header(samples=1)).coding is Coding.JPEG


@pytest.mark.parametrize(("near", "lossless"), [(0, True), (1, False), (3, False)])
def test_jpeg_ls_is_lossless_without_a_tolerance(near: int, lossless: bool) -> None:
    """NEAR stands behind the components of the scan header (T.87, table C.2)."""
    for samples in (1, 3):
        found = stream_of(frame_header(0xF7, samples=samples), scan(near, samples))
        assert (found.coding, found.near, found.samples) == (Coding.JPEG_LS, near, samples)
        assert is_lossless(b"", found) is lossless


def test_a_scan_header_that_is_cut_has_no_tolerance() -> None:
    """NEAR is the last byte that is needed: marker, length, number, two bytes, NEAR."""
    whole = scan(3, samples=1)
    header = frame_header(0xF7, samples=1)
    nears = {size: stream_of(header, whole[:size]).near for size in (0, 4, 5, 7, 8)}
    assert nears == {0: 0, 4: 0, 5: 0, 7: 0, 8: 3}


def test_the_third_byte_of_a_jpeg_scan_is_no_tolerance() -> None:
    """The spectral selection of JPEG begins there."""
    assert stream_of(frame_header(), scan(5)).near == 0


def test_a_frame_header_may_end_the_frame_but_not_be_cut() -> None:
    """Size and number of samples are complete with the sixth byte behind the length."""
    header = segment(0xC0, struct.pack(">BHHB", 12, 5, 7, 1))
    assert stream_of(header) == Codestream(5, 7, 1, 12, signed=False, coding=Coding.JPEG)
    assert read_codestream(START + header[:-1]) is None


def test_fill_bytes_and_markers_without_a_length_are_skipped() -> None:
    """Section B.1.1.2 and table B.1: TEM, RST0 to RST7, SOI."""
    alone = b"".join(bytes([0xFF, marker]) for marker in (0x01, *range(0xD0, 0xD9)))
    assert stream_of(alone, b"\xff\xff\xff", frame_header(samples=1)[1:]).rows == 5
    assert stream_of(b"\xff", frame_header(samples=1)).rows == 5
    assert read_codestream(START + b"\x00" + frame_header(samples=1)) is None
    assert read_codestream(START + END + frame_header(samples=1)) is None


COARSE = b"\x22\x11\x11"


@pytest.mark.parametrize(
    ("parts", "colours"),
    [
        ([frame_header()], Colours.UNSAID),
        ([JFIF, frame_header()], Colours.YBR),
        ([frame_header(), JFIF], Colours.YBR),
        ([frame_header(), scan(), JFIF], Colours.UNSAID),
        ([segment(0xE0, b"JFXX\x00"), frame_header()], Colours.UNSAID),
        ([segment(0xE1, b"JFIF\x00"), frame_header()], Colours.UNSAID),
        ([adobe(0), frame_header()], Colours.RGB),
        ([adobe(1), frame_header()], Colours.YBR),
        ([adobe(2), frame_header()], Colours.YBR),
        ([adobe(0, b"Other"), frame_header()], Colours.UNSAID),
        ([segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00"), frame_header()], Colours.UNSAID),
        ([adobe(0), adobe(1), frame_header()], Colours.RGB),
        ([adobe(0), JFIF, frame_header()], Colours.UNSAID),
        ([adobe(1), JFIF, frame_header()], Colours.YBR),
        ([adobe(0), JFIF, frame_header(ids=b"RGB")], Colours.UNSAID),
        ([adobe(1), frame_header(ids=b"RGB")], Colours.YBR),
        ([frame_header(ids=b"RGB")], Colours.RGB),
        ([frame_header(ids=b"rgb")], Colours.RGB),
        ([JFIF, frame_header(ids=b"RGB")], Colours.RGB),
        ([frame_header(ids=b"RGX")], Colours.UNSAID),
        ([frame_header(sampling=COARSE)], Colours.PROBABLY_YBR),
        ([frame_header(sampling=b"\x21\x11\x11")], Colours.PROBABLY_YBR),
        ([frame_header(0xC3, sampling=COARSE)], Colours.UNSAID),
        ([frame_header(sampling=b"\x11\x11\x22")], Colours.UNSAID),
        ([frame_header(tables=b"\x00\x01\x01")], Colours.PROBABLY_YBR),
        ([frame_header(tables=b"\x00\x01\x02")], Colours.UNSAID),
        ([frame_header(tables=b"\x00\x00\x01")], Colours.UNSAID),
        ([frame_header(0xC3, tables=b"\x00\x01\x01")], Colours.UNSAID),
        ([frame_header(0xC3, ids=b"RGB")], Colours.RGB),
        ([JFIF, frame_header(samples=1)], Colours.UNSAID),
        ([JFIF, frame_header(0xF7)], Colours.UNSAID),
        ([frame_header(0xF7, ids=b"RGB"), scan()], Colours.UNSAID),
    ],
)
def test_the_markers_say_which_colours_a_frame_has(parts: list[bytes], colours: Colours) -> None:
    """Adobe's transform, then the ids of the components, then JFIF, then how coarsely components are stored."""
    assert stream_of(*parts).colours is colours


def test_components_that_are_cut_say_nothing() -> None:
    """Nine bytes describe three components."""
    whole = frame_header(ids=b"RGB")
    assert stream_of(JFIF, whole).colours is Colours.RGB
    assert stream_of(JFIF, whole[:-1]).colours is Colours.UNSAID


@pytest.mark.parametrize(
    ("parts", "lacks"),
    [
        ([scan(), bytes(100), END], False),
        ([scan(), bytes(100), END, bytes(31)], False),
        ([scan(), bytes(100), END, bytes(500)], False),
        ([scan(), END, bytes(100)], False),
        ([scan(), bytes(100)], True),
        ([segment(0xE1, START + END), scan(), bytes(100)], True),
        ([segment(0xE1, START + END), scan(), bytes(100), END, bytes(100)], False),
        ([segment(0xE1, START + END), segment(0xE2, bytes(100))], True),
    ],
)
def test_a_frame_needs_an_end_marker_behind_its_scan(parts: list[bytes], lacks: bool) -> None:
    """The end marker of a preview is not that of the frame; bytes behind it do not matter."""
    assert lacks_end_marker(START + b"".join(parts)) is lacks
