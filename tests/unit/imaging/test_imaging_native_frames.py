"""The number of frames, from the length of native pixel data and from the fragments of compressed ones."""

import struct
from typing import Any

import pytest
from layouts import colour_layout, layout_of
from test_imaging_elements import long, short
from test_imaging_encapsulation import encapsulated

from imaging import tags
from imaging.codecs import Codec
from imaging.elements import Elements
from imaging.frame_location import LocatedFrames, locate_frames, native_frames
from imaging.limits import DEFAULT_LIMITS
from imaging.pixel_layout import PixelLayout
from imaging.remarks import Remarks
from imaging.walk import UNDEFINED, Encoding
from nightread.errors import RejectImage
from nightread.reasons import Reason

EXPLICIT = Encoding(implicit=False, little=True)
GREY = layout_of()
"""A frame of 16 bytes."""
HALVED = colour_layout("YBR_FULL_422", subsampled=True)
"""A frame of 32 bytes; with all samples it would have 48."""


def bits(rows: int, columns: int) -> PixelLayout:
    """Return the layout of pixels of one bit."""
    return layout_of(rows=rows, columns=columns, bits_allocated=1, bits_stored=1, high_bit=0)


@pytest.mark.parametrize(
    ("layout", "length", "expected"),
    [
        (GREY, 16, (1, True)), (GREY, 17, (1, True)), (GREY, 18, (1, False)), (GREY, 15, (0, False)),
        (GREY, 48, (3, True)), (GREY, 49, (3, True)), (GREY, 50, (3, False)), (GREY, 0, (0, True)),
        (bits(3, 5), 2, (1, False)), (bits(3, 5), 15, (8, False)),
        (bits(4, 4), 2, (1, True)), (bits(4, 4), 6, (3, True)),
        (bits(3, 7), 3, (1, True)), (bits(3, 7), 4, (1, True)), (bits(3, 7), 5, (1, False)),
        (bits(3, 7), 6, (2, True)), (bits(3, 7), 8, (3, True)), (bits(1, 17), 4, (1, True)),
        (colour_layout("RGB"), 96, (2, True)), (colour_layout("YBR_FULL_422"), 96, (2, True)),
        (HALVED, 32, (1, True)), (HALVED, 64, (2, True)), (HALVED, 33, (1, True)), (HALVED, 96, (3, False)),
        (HALVED, 192, (6, False)), (HALVED, 160, (5, True)),
    ],
)  # fmt: skip
def test_whole_frames_are_counted(layout: PixelLayout, length: int, expected: tuple[int, bool]) -> None:
    """One byte more is padding. Frames below 16 bits, and 4:2:2 that may have all samples, are not certain."""
    assert native_frames(layout, length) == expected


def located(
    layout: PixelLayout, length: int, available: int, *before: bytes, vr: str = "OW"
) -> tuple[int, str | None, str | None]:
    """Return the number of frames, and the remarks, for pixel data of this length of which so many bytes are there."""
    data = b"".join(before) + long(layout.pixel_tag, vr, bytes(available), length=length)
    elements, remarks = Elements(data, EXPLICIT, 0, len(data)), Remarks()
    found = locate_frames(elements, layout, None, DEFAULT_LIMITS, remarks)
    assert found.spans == []
    return found.layout.frames, remarks.words, remarks.detail


@pytest.mark.parametrize(
    ("length", "available"),
    [(32, 32), (33, 33), (33, 32), (32, 33), (32, 100), (10, 32), (10, 33), (0, 32), (31, 32)],
)
def test_the_declared_frames_need_no_remark(length: int, available: int) -> None:
    """Two frames of 16 bytes with up to one byte of padding; a wrong length does not matter where the file ends."""
    assert located(layout_of(frames=2), length, available) == (2, None, None)


@pytest.mark.parametrize(
    ("declared", "length", "available", "frame"),
    [
        (2, 32, 31, 2), (2, 32, 15, 1), (2, 10, 34, 1), (2, 10, 31, 1), (2, 31, 31, 2), (2, 31, 34, 2),
        (1, 15, 15, 1), (1, 0, 0, 1), (1, 1, 1, 1), (3, 47, 47, 3), (3, 40, 60, 3), (2, 48, 47, 3), (2, 48, 33, 3),
    ],
)  # fmt: skip
def test_an_incomplete_frame_is_truncated(declared: int, length: int, available: int, frame: int) -> None:
    """The length counts as well as the bytes that are there."""
    with pytest.raises(RejectImage) as refusal:
        located(layout_of(frames=declared), length, available)
    detail = f"PixelData (7FE0,0010) at offset 12 ends within frame {frame}."
    assert (refusal.value.reason, refusal.value.detail) == (Reason.TRUNCATED, detail)


@pytest.mark.parametrize(
    ("declared", "length", "left_out"),
    [(1, 34, "1 more frame"), (1, 50, "2 more frames"), (2, 50, "1 more frame"), (1, 24_018, "1,500 more frames")],
)
def test_uncertain_frames_are_left_out_with_a_remark(declared: int, length: int, left_out: str) -> None:
    """Two bytes behind the last frame are no padding."""
    expected = f"The pixel data seem to hold {left_out} than NumberOfFrames (0028,0008) declares; they were left out."
    assert located(layout_of(frames=declared), length, length) == (declared, "frames_left_out", expected)


def high_bit(number: int) -> bytes:
    """Return the element HighBit."""
    return short(tags.HIGH_BIT, "US", struct.pack("<H", number))


WRONG = "NumberOfFrames (0028,0008) is missing or wrong: "


@pytest.mark.parametrize(
    ("layout", "frames", "unless"),
    [
        ({"bits_allocated": 8}, (1, 2), "BitsAllocated (0028,0100) is 16"),
        ({"bits_allocated": 8}, (1, 4), "BitsAllocated (0028,0100) is 32"),
        ({"bits_allocated": 8}, (2, 4), "BitsAllocated (0028,0100) is 16"),
        ({"bits_allocated": 8}, (2, 5), ""),
        ({"bits_allocated": 8}, (1, 8), ""),
        ({"bits_allocated": 16}, (1, 2), "BitsAllocated (0028,0100) is 32"),
        ({"bits_allocated": 16}, (1, 4), ""),
        ({"bits_allocated": 32}, (1, 2), ""),
        ({"bits_allocated": 1}, (1, 2), ""),
        ({"bits_allocated": 1}, (1, 3), "SamplesPerPixel (0028,0002) is 3"),
        ({"bits_allocated": 32, "pixel_tag": tags.FLOAT_PIXEL_DATA}, (1, 2), ""),
        ({"bits_allocated": 8, "pixel_tag": tags.FLOAT_PIXEL_DATA}, (1, 2), ""),
        ({"bits_allocated": 8}, (1, 3), "SamplesPerPixel (0028,0002) is 3"),
        ({"bits_allocated": 8}, (2, 6), "SamplesPerPixel (0028,0002) is 3"),
        ({"bits_allocated": 8}, (2, 7), ""),
        ({"samples": 3, "photometric": "RGB"}, (1, 3), ""),
        ({"samples": 3, "photometric": "RGB"}, (3, 2), ""),
        ({"samples": 3, "photometric": "YBR_FULL"}, (3, 2), "the pixels are 4:2:2"),
        ({"samples": 3, "photometric": "YBR_FULL"}, (6, 4), "the pixels are 4:2:2"),
        ({"samples": 3, "photometric": "YBR_FULL"}, (4, 3), ""),
        ({"samples": 3, "photometric": "YBR_FULL"}, (3, 1), ""),
        ({"samples": 3, "photometric": "YBR_FULL", "subsampled": True}, (3, 2), ""),
    ],
)
def test_another_attribute_may_be_wrong_instead(layout: dict[str, Any], frames: tuple[int, int], unless: str) -> None:
    """Twice or four times as many bits, three samples, or half of the colours explain the length as well."""
    declared, counted = frames
    values = layout_of(**layout, frames=declared)
    size = values.frame_bits * counted // 8
    frames = f"{counted} frame{'s' * (counted > 1)}"
    hold = f"the complete pixel data hold only {frames}" if counted < declared else f"the pixel data hold {frames}"
    expected = f"{WRONG}{hold}{unless and f', unless {unless}'}."
    assert located(values, size, size) == (counted, "frames_counted", expected)


@pytest.mark.parametrize(("number", "fits"), [(7, True), (8, False), (15, False), (16, True)])
def test_a_high_bit_in_the_second_byte_contradicts_frames_of_bytes(number: int, fits: bool) -> None:
    """Two bytes for each pixel are there, so that the frames would be parts of a frame."""
    if fits:
        assert located(GREY, 32, 32, high_bit(number))[:2] == (2, "frames_counted")
        return
    with pytest.raises(RejectImage) as refusal:
        located(GREY, 32, 32, high_bit(number))
    detail = (
        "HighBit (0028,0102) does not fit BitsAllocated (0028,0100). By their length, the pixel data have "
        "2 times as many bits per pixel."
    )
    assert (refusal.value.reason, refusal.value.detail) == (Reason.BAD_HEADER, detail)


def test_a_high_bit_that_is_no_number_decides_nothing() -> None:
    """It is needed for nothing else."""
    assert located(GREY, 32, 32, short(tags.HIGH_BIT, "LO", b"15"))[:2] == (2, "frames_counted")
    assert located(GREY, 32, 32, short(tags.HIGH_BIT, "US", b""))[:2] == (2, "frames_counted")


def test_numbers_of_frames_have_separators() -> None:
    """More than a thousand."""
    expected = f"{WRONG}the pixel data hold 1,500 frames."
    assert located(layout_of(frames=7), 24_000, 24_000) == (1500, "frames_counted", expected)


def compressed(value: bytes, length: int, *before: bytes, frames: int = 1) -> tuple[LocatedFrames, Remarks]:
    """Return what is found in compressed pixel data."""
    data = b"".join(before) + long(tags.PIXEL_DATA, "OB", value, length=length)
    elements, remarks = Elements(data, EXPLICIT, 0, len(data)), Remarks()
    return locate_frames(elements, layout_of(frames=frames), Codec.JPEG, DEFAULT_LIMITS, remarks), remarks


@pytest.mark.parametrize(
    ("length", "detail"),
    [
        (8, "PixelData (7FE0,0010) at offset 12 is not compressed, which contradicts its transfer syntax."),
        (UNDEFINED, "The compressed pixel data at offset 12 have no item, not even the Basic Offset Table."),
    ],
)
@pytest.mark.parametrize("value", [b"12345678", b"\xfe\xff\x00\xe1\x00\x00\x00\x00"])
def test_compressed_pixel_data_begin_with_an_item(value: bytes, length: int, detail: str) -> None:
    """With a defined length they may be uncompressed ones."""
    with pytest.raises(RejectImage) as refusal:
        compressed(value, length)
    assert (refusal.value.reason, refusal.value.detail) == (Reason.BAD_PIXELS, detail)


def test_the_extended_offset_table_is_that_of_the_data_set() -> None:
    """Three fragments of an unknown codestream; the second frame has two of them."""
    fragments = encapsulated([b"aa", b"bb", b"cc"])
    table = long(tags.EXTENDED_OFFSET_TABLE, "OV", struct.pack("<2Q", 0, 10))
    found, remarks = compressed(fragments, UNDEFINED, table, frames=2)
    start = 28 + 12 + 8
    assert found.spans == [[(start + 8, start + 10)], [(start + 18, start + 20), (start + 28, start + 30)]]
    assert (found.layout.frames, remarks.words) == (2, None)


def test_what_is_said_of_compressed_frames() -> None:
    """Frames that are left out, frames that were not declared, and a missing end."""
    jpeg, end = b"\xff\xd8\xff\xe0", b"\xff\xd9"
    _, remarks = compressed(encapsulated([jpeg + b"a", jpeg + b"b", b"c"]), UNDEFINED)
    assert remarks.words == "frames_left_out"
    found, remarks = compressed(encapsulated([jpeg + end, jpeg + end]), UNDEFINED)
    expected = f"{WRONG}the pixel data hold 2 frames."
    assert (found.layout.frames, remarks.words, remarks.detail) == (2, "frames_counted", expected)
    found, remarks = compressed(encapsulated([jpeg + end, jpeg + end], closed=False), UNDEFINED, frames=2)
    expected = "The file ends without the sequence delimiter of its pixel data. All frames are there."
    assert (found.layout.frames, remarks.words, remarks.detail) == (2, "pixels_unclosed", expected)
