"""Which colours a JPEG 2000 frame has, where it begins, and where the first scan of a JPEG frame is."""

import pytest
from jpeg2000_headers import TAIL, box, cod, codestream, jp2, siz, sot
from test_imaging_frame_headers import END, START, frame_header, scan, segment, stream_of

from imaging.codestream import (
    Codestream,
    Colours,
    first_scan,
    is_lossless,
    lacks_end_marker,
    read_codestream,
    without_boxes,
)


def frame(samples: int = 3, own_colours: int = 0, transform: int = 1) -> bytes:
    """Return the header of a JPEG 2000 frame of 3 rows and 5 columns."""
    size = siz(5, 3, sampling=((1, 1),) * samples)
    return codestream(cod(own_colours=own_colours, transform=transform), sot(0), TAIL, size=size)


SYCC = box(b"jp2h", box(b"colr", bytes((1, 0, 0, 0, 0, 0, 18))))


@pytest.mark.parametrize(
    ("data", "samples", "colours"),
    [
        (frame(), 3, Colours.UNSAID),
        (frame(own_colours=1), 3, Colours.RGB),
        (frame(1, own_colours=1), 1, Colours.UNSAID),
        (frame(2, own_colours=1), 2, Colours.UNSAID),
        (frame(4, own_colours=1), 4, Colours.UNSAID),
        (jp2(SYCC, box(b"jp2c", frame())), 3, Colours.YBR),
        (jp2(SYCC, box(b"jp2c", frame(own_colours=1))), 3, Colours.RGB),
        (jp2(SYCC, box(b"jp2c", frame(1))), 1, Colours.UNSAID),
    ],
)
def test_the_colours_of_a_jpeg2000_frame(data: bytes, samples: int, colours: Colours) -> None:
    """Its own transformation gives RGB (table A.17); only a frame of three components has colours."""
    found = read_codestream(data)
    assert found == Codestream(3, 5, samples, 8, signed=False, colours=colours)
    assert found.near == 0


def test_a_jpeg2000_frame_is_lossless_if_its_wavelet_is_reversible() -> None:
    """Table A.20."""
    for transform, expected in ((0, False), (1, True)):
        data = frame(transform=transform)
        stream = read_codestream(data)
        assert stream is not None
        assert is_lossless(data, stream) is expected


def test_what_is_no_frame_has_no_header() -> None:
    """Neither JPEG nor JPEG 2000."""
    assert read_codestream(b"") is None
    assert read_codestream(bytes(64)) is None
    assert read_codestream(b"\xff\xd8") is None


def test_only_a_jp2_file_has_boxes() -> None:
    """Its codestream is what is in the box."""
    bare = frame()
    assert without_boxes(jp2(SYCC, box(b"jp2c", bare))) == bare
    assert without_boxes(bare) is bare


def test_the_first_scan_is_where_its_length_is() -> None:
    """A later scan does not count; without one it is the end of the frame. A memory view will do."""
    head = START + frame_header()
    data = head + scan() + bytes(10) + scan() + END
    assert first_scan(data) == len(head) + 2
    assert first_scan(memoryview(data)) == len(head) + 2
    assert first_scan(head) == len(head)
    assert first_scan(START + b"\xff\xda\x00\x02") == 4
    assert first_scan(START + b"\xff\xda\x00") == 5


def test_the_end_of_a_preview_is_found_wherever_it_is() -> None:
    """Here behind the first and before the last 32 bytes."""
    preview = segment(0xE1, bytes(40) + START + END + bytes(40))
    assert lacks_end_marker(START + preview + scan() + bytes(100))
    assert not lacks_end_marker(START + preview + scan() + bytes(100) + END + bytes(50))


def test_the_end_of_a_frame_may_be_in_its_last_bytes_though_its_markers_are_damaged() -> None:
    """The decoder may know what to do with them: only without any end the frame is refused."""
    damaged = START + bytes(40)
    assert not lacks_end_marker(damaged + END)
    assert not lacks_end_marker(damaged + END + bytes(30))
    assert lacks_end_marker(damaged + END + bytes(31))


def test_the_first_header_of_a_grey_frame_counts() -> None:
    """A second one is not read."""
    second = segment(0xC1, b"\x08\x00\x09\x00\x09\x01\x01\x11\x00")
    assert stream_of(frame_header(samples=1), second).rows == 5


def test_the_tolerance_of_jpeg_ls_needs_its_scan_header() -> None:
    """NEAR is the byte behind the pairs of all components (T.87, C.2.3)."""
    header = frame_header(0xF7)
    whole = scan(9)
    assert stream_of(header, whole).near == 9
    assert [stream_of(header, whole[:size]).near for size in (4, 5, 6, 11, 12)] == [0, 0, 0, 0, 9]
    assert stream_of(header, segment(0xFE, b"\x01\x02\x03\x04\x05\x06\x07\x08\x09")).near == 0
