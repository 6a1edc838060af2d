"""Frames of uncompressed pixel data, each way to store them by hand (PS3.5 section 8)."""

import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
from explicit_elements import data_set, element
from layouts import grey_words

from imaging.codecs import Codec
from imaging.elements import Elements
from imaging.frames import StoredFrames
from imaging.remarks import Remark, Remarks
from imaging.tags import DOUBLE_FLOAT_PIXEL_DATA, FLOAT_PIXEL_DATA, PIXEL_DATA
from nightread.errors import RejectImage
from nightread.reasons import Reason

COLOUR: dict[str, Any] = {"samples": 3, "photometric": "RGB", "bits_allocated": 8, "bits_stored": 8, "high_bit": 7}
BYTES: dict[str, Any] = {"bits_allocated": 8, "bits_stored": 8, "high_bit": 7}


def pixels(raw: bytes, vr: str = "OW", *, tag: int = PIXEL_DATA, little: bool = True) -> Elements:
    """Return a data set whose pixel data do not begin at 0."""
    first = element(0x00080060, "CS", "CT", little=little)
    return data_set(first, element(tag, vr, length=len(raw), little=little), raw, little=little)


def frames(elements: Elements, remarks: Remarks | None = None, **layout: Any) -> list[Any]:
    """Return the uncompressed frames as lists."""
    stored = StoredFrames(elements, grey_words(**layout), None, [], remarks)
    return [each.tolist() for each in stored]


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize(
    ("code", "layout", "values"),
    [
        ("H", {}, [1, 2, 300, 65535, 5, 6, 7, 8]),
        ("h", {"signed": True}, [1, -2, 300, -32768, 5, 6, 7, 8]),
        ("I", {"bits_allocated": 32, "bits_stored": 32, "high_bit": 31}, [1, 2, 3, 4294967295, 5, 6, 7, 8]),
        (
            "i",
            {"bits_allocated": 32, "bits_stored": 32, "high_bit": 31, "signed": True},
            [1, -2, 3, -2147483648, 5, 6, 7, 8],
        ),
        ("f", {"pixel_tag": FLOAT_PIXEL_DATA, "bits_allocated": 32, "signed": True}, [1, -2.5, 3, 4, 5, 6, 7, 8]),
        ("d", {"pixel_tag": DOUBLE_FLOAT_PIXEL_DATA, "bits_allocated": 64}, [1, -2.5, 3, 4, 5, 6, 7, 1e300]),
    ],
)
def test_numbers_of_every_type_and_byte_order(
    code: str, layout: dict[str, Any], values: list[float], little: bool
) -> None:
    """Two frames of 2 x 2 pixels."""
    raw = struct.pack(f"{'<' if little else '>'}8{code}", *values)
    tag = layout.get("pixel_tag", PIXEL_DATA)
    vr = {FLOAT_PIXEL_DATA: "OF", DOUBLE_FLOAT_PIXEL_DATA: "OD"}.get(tag, "OW")

    found = list(StoredFrames(pixels(raw, vr, tag=tag, little=little), grey_words(frames=2, **layout), None, []))

    assert [each.reshape(-1).tolist() for each in found] == [values[:4], values[4:]]
    assert {each.shape for each in found} == {(2, 2)}
    assert {each.dtype for each in found} == {np.dtype(f"={code}")}


def test_rows_come_before_columns() -> None:
    """Two rows of three."""
    assert frames(pixels(bytes(range(6))), columns=3, **BYTES) == [[[0, 1, 2], [3, 4, 5]]]


def test_bytes_of_big_endian_words() -> None:
    """With OW, each word holds its second pixel first (PS3.5 section 8.1.1); OB has no words."""
    raw = bytes([2, 1, 4, 3, 6, 5, 8, 7])
    layout: dict[str, Any] = {"frames": 2, **BYTES}
    assert frames(pixels(raw, little=False), **layout) == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert frames(pixels(raw, "OB", little=False), **layout) == [[[2, 1], [4, 3]], [[6, 5], [8, 7]]]
    assert frames(pixels(raw), **layout) == [[[2, 1], [4, 3]], [[6, 5], [8, 7]]]
    signed = pixels(bytes([2, 255, 4, 3]), little=False)
    assert frames(signed, **BYTES, signed=True) == [[[-1, 2], [3, 4]]]


def test_frames_of_an_odd_number_of_bytes_share_a_word() -> None:
    """Three frames of 1 x 3 pixels: the second one begins with the high byte of the second word."""
    raw = bytes([2, 1, 4, 3, 6, 5, 8, 7, 10, 9])
    found = frames(pixels(raw, little=False), rows=1, columns=3, frames=3, **BYTES)
    assert found == [[[1, 2, 3]], [[4, 5, 6]], [[7, 8, 9]]]


def test_the_last_word_must_be_whole() -> None:
    """The third pixel is the second byte of its word."""
    layout: dict[str, Any] = {"rows": 1, "columns": 3, **BYTES}
    assert frames(pixels(bytes([2, 1, 4, 3]), little=False), **layout) == [[[1, 2, 3]]]
    for number, raw in ((1, [2, 1, 4]), (2, [2, 1, 4, 3, 6])):
        cut = pixels(bytes(raw), little=False)
        with pytest.raises(RejectImage) as refusal:
            frames(cut, frames=number, **layout)
        detail = f"The file ends within the 16-bit word of the last pixel, at {len(cut.data)}."
        assert (refusal.value.reason, refusal.value.detail) == (Reason.TRUNCATED, detail)


def test_single_bits() -> None:
    """The least significant bit is the first; the second and the third frame begin within a byte."""
    layout: dict[str, Any] = {
        "rows": 1,
        "columns": 3,
        "frames": 3,
        "bits_allocated": 1,
        "bits_stored": 1,
        "high_bit": 0,
    }
    found = list(StoredFrames(pixels(bytes([0b10_001_110, 0b1])), grey_words(**layout), None, []).with_bits())
    assert [each.values.tolist() for each in found] == [[[0, 1, 1]], [[1, 0, 0]], [[0, 1, 1]]]
    assert {each.bits for each in found} == {1}


def test_single_bits_of_whole_bytes() -> None:
    """Frames of 2 x 8 pixels have two bytes each."""
    layout: dict[str, Any] = {
        "rows": 2,
        "columns": 8,
        "frames": 2,
        "bits_allocated": 1,
        "bits_stored": 1,
        "high_bit": 0,
    }
    rows = [[1, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0]], [[0, 0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]]
    assert frames(pixels(bytes([1, 2, 4, 128])), **layout) == [*rows]


def test_colours_by_pixel_and_by_plane() -> None:
    """Two pixels in one row: the samples of each follow each other, or all red ones come first."""
    raw = bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    layout: dict[str, Any] = {"rows": 1, "frames": 2, **COLOUR}
    assert frames(pixels(raw), **layout) == [[[[1, 2, 3], [4, 5, 6]]], [[[7, 8, 9], [10, 11, 12]]]]
    planes = frames(pixels(raw), planar=True, **layout)
    assert planes == [[[[1, 3, 5], [2, 4, 6]]], [[[7, 9, 11], [8, 10, 12]]]]
    upright = {**layout, "rows": 2, "columns": 1}
    assert frames(pixels(raw), planar=True, **upright)[0] == [[[1, 3, 5]], [[2, 4, 6]]]


def test_planes_become_contiguous() -> None:
    """The network input is made of them row by row."""
    layout = grey_words(rows=1, planar=True, **COLOUR)
    (found,) = StoredFrames(pixels(bytes(6)), layout, None, [])
    assert found.flags.c_contiguous


def test_two_pixels_share_their_chroma() -> None:
    """Y1 Y2 Cb Cr: without chroma (128, 128) a pixel is grey; Cr of 228 adds 140 to red and takes 71 from green."""
    raw = bytes([10, 20, 128, 128, 100, 90, 128, 228])
    layout: dict[str, Any] = {**COLOUR, "photometric": "YBR_FULL_422", "subsampled": True}
    assert frames(pixels(raw), **layout) == [[[[10] * 3, [20] * 3], [[240, 29, 100], [230, 19, 90]]]]
    with pytest.raises(RejectImage) as refusal:
        frames(pixels(bytes(12)), **{**layout, "columns": 3})
    detail = "YBR_FULL_422 requires an even number of columns."
    assert (refusal.value.reason, refusal.value.detail) == (Reason.BAD_HEADER, detail)


def test_pixels_that_contradict_the_header_are_remarked() -> None:
    """They begin at bit 0, though HighBit says bit 4."""
    remarks, raw = Remarks(), struct.pack("<4H", 4095, 4094, 1023, 17)
    layout: dict[str, Any] = {"bits_stored": 12, "high_bit": 15}
    assert frames(pixels(raw), remarks, **layout) == [[[4095, 4094], [1023, 17]]]
    detail = "The pixel values begin at bit 0, which contradicts HighBit (0028,0102)."
    assert list(remarks) == [(Remark.BITS_WRONG, detail)]
    assert frames(pixels(raw), **layout) == [[[4095, 4094], [1023, 17]]]
    whole = Remarks()
    assert frames(pixels(raw), whole) == [[[4095, 4094], [1023, 17]]]
    assert not whole


GREY_OF_RGB, GREY_OF_YBR = [90, 90, 90], [90, 128, 128]
UNSURE: dict[str, Any] = {**COLOUR, "rows": 1, "photometric": "YBR_FULL_422"}


@pytest.mark.parametrize(
    ("kinds", "label"),
    [
        ("r", "RGB"),
        ("y", "YBR_FULL"),
        ("rry", "RGB"),
        ("rrr", "RGB"),
        ("yyy", "YBR_FULL"),
        ("ryryr", "RGB"),
        ("yryry", "YBR_FULL"),
        ("yyrrr", "RGB"),
        ("rrryy", "RGB"),
        ("rrrry", "RGB"),
        ("yrryr", "RGB"),
    ],
)
def test_three_frames_decide_the_colours_of_all(kinds: str, label: str) -> None:
    """They are the first, the middle and the last one. A grey pixel is 90, 90, 90, or 90, 128, 128 in YBR."""
    raw = b"".join(bytes(GREY_OF_RGB if kind == "r" else GREY_OF_YBR) * 2 for kind in kinds)
    remarks = Remarks()

    found = frames(pixels(raw), remarks, frames=len(kinds), **UNSURE)

    as_rgb = {"r": GREY_OF_RGB, "y": GREY_OF_YBR} if label == "RGB" else {"y": GREY_OF_RGB}
    shown = [frame[0][0] for frame, kind in zip(found, kinds, strict=True) if kind in as_rgb]
    assert shown == [as_rgb[kind] for kind in kinds if kind in as_rgb]
    name = "PhotometricInterpretation (0028,0004)"
    detail = f"{name} is YBR_FULL_422, but all samples are there, and their values look like {label}."
    assert list(remarks) == [(Remark.COLOUR_UNSURE, detail)]


def test_colours_that_are_certain_are_not_guessed() -> None:
    """YBR_FULL with its samples."""
    remarks = Remarks()
    assert frames(pixels(bytes(GREY_OF_YBR * 2)), remarks, **{**UNSURE, "photometric": "YBR_FULL"}) == [
        [[GREY_OF_RGB] * 2]
    ]
    assert not remarks


def compressed(first: bytes, second: bytes) -> tuple[list[Any], Remarks]:
    """Return two frames of one pixel pair that say YBR_FULL_422, with their remarks."""
    elements, remarks = pixels(first + second, "OB"), Remarks()
    start, end = elements.data.index(first), len(elements.data)
    middle = start + len(first)
    spans = [[(start, middle)], [(middle, end)]]
    layout = grey_words(**{**UNSURE, "frames": 2})
    return [each.tolist() for each in StoredFrames(elements, layout, Codec.JPEG_LS, spans, remarks)], remarks


def test_the_first_compressed_frame_tells_whether_colours_are_certain() -> None:
    """JPEG-LS says nothing of its colours; the decoder of a baseline JPEG makes them RGB."""
    row = np.array([[GREY_OF_RGB] * 2], np.uint8)
    lossless, baseline = bytes(imagecodecs.jpegls_encode(row)), bytes(imagecodecs.jpeg8_encode(row))

    found, remarks = compressed(lossless, lossless)
    assert (found, remarks.words) == ([[[GREY_OF_RGB] * 2]] * 2, "colour_unsure")
    for second in (baseline, lossless):
        found, remarks = compressed(baseline, second)
        assert (found[0], remarks.words) == ([[GREY_OF_RGB] * 2], None)


def test_the_error_of_a_compressed_frame_names_its_place() -> None:
    """The second frame is no JPEG; it begins at offset 9 of the file."""
    good = bytes(imagecodecs.jpeg8_encode(np.zeros((2, 2), np.uint8)))
    elements = data_set(element(PIXEL_DATA, "OB", b"123456789" + good))
    start = elements.data.index(good)
    spans = [[(start, start + len(good))], [(start - 9, start)]]
    stored = iter(StoredFrames(elements, grey_words(frames=2, **BYTES), Codec.JPEG, spans))

    assert next(stored).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(RejectImage) as refusal:
        next(stored)
    assert refusal.value.reason is Reason.BAD_PIXELS
    assert refusal.value.detail.endswith(f" (frame 2, at offset {start - 9}).")
