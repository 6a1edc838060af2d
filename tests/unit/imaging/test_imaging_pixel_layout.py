"""The shape and type of pixels, read from an image pixel module that is written by hand (PS3.3 C.7.6.3)."""

import struct
from typing import Any

import pytest

from imaging import tags
from imaging.elements import Elements
from imaging.limits import DEFAULT_LIMITS, Limits
from imaging.pixel_layout import PixelLayout, read_pixel_layout
from imaging.walk import UNDEFINED, Encoding
from nightread.errors import RejectImage
from nightread.reasons import Reason

Values = dict[int, int | str | None]
GREY: Values = {
    tags.SAMPLES_PER_PIXEL: 1,
    tags.PHOTOMETRIC_INTERPRETATION: "MONOCHROME2",
    tags.ROWS: 2,
    tags.COLUMNS: 3,
    tags.BITS_ALLOCATED: 16,
    tags.BITS_STORED: 12,
    tags.HIGH_BIT: 11,
    tags.PIXEL_REPRESENTATION: 0,
}
COLOUR: Values = GREY | {
    tags.SAMPLES_PER_PIXEL: 3, tags.PHOTOMETRIC_INTERPRETATION: "RGB", tags.BITS_ALLOCATED: 8, tags.BITS_STORED: 8,
    tags.HIGH_BIT: 7,
}  # fmt: skip
RED_DESCRIPTOR, RED_DATA, RED_SEGMENTS = 0x00281101, 0x00281201, 0x00281221
FLOAT, DOUBLE = tags.FLOAT_PIXEL_DATA, tags.DOUBLE_FLOAT_PIXEL_DATA


def layout(
    values: Values,
    *,
    pixel_tag: int = tags.PIXEL_DATA,
    length: int = UNDEFINED,
    limits: Limits = DEFAULT_LIMITS,
) -> PixelLayout:
    """Return the layout of a header with these values; None stands for an element that is absent."""
    written = b"".join(element(tag, value) for tag, value in sorted(values.items()) if value is not None)
    data = written + struct.pack("<HH2sHI", pixel_tag >> 16, pixel_tag & 0xFFFF, b"OW", 0, length)
    elements = Elements(data, Encoding(implicit=False, little=True), 0, len(data))
    return read_pixel_layout(elements, pixel_tag, limits)


def element(tag: int, value: int | str) -> bytes:
    """Return an element of VR US, or of VR LO."""
    raw = value.encode() + b" " * (len(value) % 2) if isinstance(value, str) else struct.pack("<H", value)
    vr = b"LO" if isinstance(value, str) else b"US"
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(raw)) + raw


def refused(values: Values, **options: Any) -> tuple[Reason, str]:
    """Return reason and detail for which a header is rejected."""
    with pytest.raises(RejectImage) as refusal:
        layout(values, **options)
    return refusal.value.reason, refusal.value.detail


def test_each_value_has_its_place() -> None:
    """2 x 3 words of 16 bits, of which 12 are used."""
    assert layout(GREY | {tags.PIXEL_REPRESENTATION: 1, tags.NUMBER_OF_FRAMES: 7, tags.HIGH_BIT: 13}) == PixelLayout(
        rows=2, columns=3, frames=7, samples=1, photometric="MONOCHROME2", planar=False, bits_allocated=16,
        bits_stored=12, high_bit=13, signed=True, pixel_tag=tags.PIXEL_DATA,
    )  # fmt: skip


def test_absent_values_are_taken_from_the_others() -> None:
    """All bits are used, the highest bit is the last, the pixels are unsigned, and there is one frame."""
    absent = dict.fromkeys((tags.SAMPLES_PER_PIXEL, tags.BITS_STORED, tags.HIGH_BIT, tags.PIXEL_REPRESENTATION))
    found = layout(GREY | absent)
    assert (found.bits_stored, found.high_bit, found.signed, found.frames) == (16, 15, False, 1)
    assert (found.samples, found.planar, found.photometric_assumed) == (1, False, False)
    assert layout(COLOUR | absent).samples == 3


@pytest.mark.parametrize(
    ("high_bit", "expected"), [(10, 11), (11, 11), (12, 12), (15, 15), (16, 11), ("x", 11), (None, 11)]
)
def test_a_high_bit_is_used_if_all_bits_fit_below_it(high_bit: int | str | None, expected: int) -> None:
    """12 bits of 16 end at bit 11 at least, and at bit 15 at most."""
    assert layout(GREY | {tags.HIGH_BIT: high_bit}).high_bit == expected


@pytest.mark.parametrize(("frames", "expected"), [(None, 1), (0, 1), (1, 1), (2, 2), ("two", 1)])
def test_an_invalid_number_of_frames_is_one(frames: int | str | None, expected: int) -> None:
    """The pixel data tell how many there are."""
    assert layout(GREY | {tags.NUMBER_OF_FRAMES: frames}).frames == expected


def test_only_one_means_signed_or_planar() -> None:
    """Other values than 0 and 1 are not defined; one sample has no planes."""
    assert layout(GREY | {tags.PIXEL_REPRESENTATION: 2}).signed is False
    for value, planar in ((0, False), (1, True), (2, False), (None, False)):
        assert layout(COLOUR | {tags.PLANAR_CONFIGURATION: value}).planar is planar
    assert layout(GREY | {tags.PLANAR_CONFIGURATION: 1}).planar is False


@pytest.mark.parametrize(("pixel_tag", "bits"), [(FLOAT, 32), (DOUBLE, 64)])
def test_float_pixels_have_the_bits_of_their_element(pixel_tag: int, bits: int) -> None:
    """PS3.3 C.7.6.24 and C.7.6.25: BitsAllocated may be wrong or absent, and the others are."""
    absent = dict.fromkeys((tags.BITS_STORED, tags.HIGH_BIT, tags.PIXEL_REPRESENTATION))
    for allocated in (16, None):
        found = layout(GREY | absent | {tags.BITS_ALLOCATED: allocated}, pixel_tag=pixel_tag)
        assert (found.bits_allocated, found.bits_stored, found.floating) == (bits, bits, True)
    assert layout(GREY).floating is False


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Monochrome 2", "MONOCHROME2"), ("monochrome1", "MONOCHROME1"), ("PALETTE_COLOR", "PALETTE COLOR"),
        ("palettecolor", "PALETTE COLOR"),
    ],
)  # fmt: skip
def test_case_spaces_and_underscores_of_a_grey_label_do_not_matter(written: str, expected: str) -> None:
    """Only letters and digits decide."""
    assert layout(GREY | {tags.PHOTOMETRIC_INTERPRETATION: written}).photometric == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("rgb", "RGB"), ("YBR FULL", "YBR_FULL"), ("YBRFULL422", "YBR_FULL_422"), ("ybr_ict", "YBR_ICT"),
        ("YBR RCT", "YBR_RCT"), ("YBR_Partial_422", "YBR_PARTIAL_422"), ("YBR_PARTIAL 420", "YBR_PARTIAL_420"),
    ],
)  # fmt: skip
def test_case_spaces_and_underscores_of_a_colour_label_do_not_matter(written: str, expected: str) -> None:
    """Only letters and digits decide."""
    assert layout(COLOUR | {tags.PHOTOMETRIC_INTERPRETATION: written}).photometric == expected


PALETTE: Values = {RED_DESCRIPTOR: "ab", RED_DATA: "ab"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (GREY, "MONOCHROME2"),
        (GREY | PALETTE, "PALETTE COLOR"),
        (GREY | PALETTE | {RED_DATA: None, RED_SEGMENTS: "ab"}, "PALETTE COLOR"),
        (GREY | PALETTE | {RED_DATA: None}, "MONOCHROME2"),
        (GREY | PALETTE | {RED_DESCRIPTOR: None}, "MONOCHROME2"),
        (COLOUR | PALETTE, "RGB"),
    ],
    ids=["grey", "palette", "segments", "only a descriptor", "only entries", "three samples"],
)
def test_a_missing_label_is_assumed(values: Values, expected: str) -> None:
    """By the samples, and by a palette that is complete."""
    found = layout(values | {tags.PHOTOMETRIC_INTERPRETATION: None})
    assert (found.photometric, found.photometric_assumed) == (expected, True)


NO_CELL = "BitsAllocated (0028,0100) is not 1, 8, 16 or 32."
NO_BITS = "BitsStored (0028,0101) is zero or larger than BitsAllocated."
NO_LABEL = "PhotometricInterpretation (0028,0004) has a value that nightread does not know."
NO_SAMPLES = "SamplesPerPixel (0028,0002) does not match PhotometricInterpretation (0028,0004)."
NO_COLOUR = "BitsAllocated (0028,0100) of a colour image is not 8, 16 or 32."
NO_YBR = "BitsAllocated (0028,0100) of a YBR image is neither 8 nor 16."
ONE_BIT: Values = {tags.BITS_ALLOCATED: 1, tags.BITS_STORED: 1, tags.HIGH_BIT: 0}
WIDE: Values = {tags.BITS_ALLOCATED: 32, tags.BITS_STORED: 32, tags.HIGH_BIT: 31}


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        (GREY | {tags.ROWS: 0}, "Rows (0028,0010) is missing or zero."),
        (GREY | {tags.ROWS: None}, "Rows (0028,0010) is missing or zero."),
        (GREY | {tags.COLUMNS: 0}, "Columns (0028,0011) is missing or zero."),
        (GREY | {tags.COLUMNS: None}, "Columns (0028,0011) is missing or zero."),
        (GREY | {tags.ROWS: "two"}, "Rows (0028,0010) must be a number, but has a VR of text."),
        (GREY | {tags.BITS_ALLOCATED: None, tags.BITS_STORED: 0}, NO_CELL),
        (GREY | {tags.BITS_ALLOCATED: 24}, NO_CELL),
        (GREY | {tags.BITS_ALLOCATED: 64}, NO_CELL),
        (GREY | {tags.BITS_STORED: 0}, NO_BITS),
        (GREY | {tags.BITS_STORED: 17}, NO_BITS),
        (GREY | {tags.PHOTOMETRIC_INTERPRETATION: "HSV", tags.SAMPLES_PER_PIXEL: 3}, NO_LABEL),
        (GREY | {tags.SAMPLES_PER_PIXEL: 3}, NO_SAMPLES),
        (GREY | {tags.PHOTOMETRIC_INTERPRETATION: "PALETTE COLOR", tags.SAMPLES_PER_PIXEL: 3}, NO_SAMPLES),
        (COLOUR | {tags.SAMPLES_PER_PIXEL: 1}, NO_SAMPLES),
        (COLOUR | {tags.SAMPLES_PER_PIXEL: 4}, NO_SAMPLES),
        (COLOUR | ONE_BIT, NO_COLOUR),
        (COLOUR | WIDE | {tags.PHOTOMETRIC_INTERPRETATION: "YBR_FULL"}, NO_YBR),
        (COLOUR | WIDE | {tags.PHOTOMETRIC_INTERPRETATION: "YBR_FULL_422"}, NO_YBR),
        (COLOUR | WIDE | {tags.PHOTOMETRIC_INTERPRETATION: "YBR_PARTIAL_420"}, NO_YBR),
    ],
)
def test_an_invalid_value_is_named(values: Values, detail: str) -> None:
    """The detail names the element that has to be corrected."""
    assert refused(values) == (Reason.BAD_HEADER, detail)


@pytest.mark.parametrize(
    "values",
    [
        GREY | {tags.ROWS: 1, tags.COLUMNS: 1},
        GREY | ONE_BIT,
        GREY | WIDE,
        GREY | {tags.BITS_STORED: 1},
        GREY | {tags.BITS_STORED: 16},
        GREY | {tags.BITS_ALLOCATED: 8, tags.BITS_STORED: 8},
        COLOUR | WIDE,
        COLOUR | WIDE | {tags.PHOTOMETRIC_INTERPRETATION: "YBR_RCT"},
        COLOUR | {tags.BITS_ALLOCATED: 16},
        COLOUR | {tags.BITS_ALLOCATED: 16, tags.PHOTOMETRIC_INTERPRETATION: "YBR_FULL"},
        COLOUR | {tags.PHOTOMETRIC_INTERPRETATION: "YBR_PARTIAL_422"},
    ],
)
def test_valid_values_are_read(values: Values) -> None:
    """One pixel, one bit, and all bits of each cell."""
    found = layout(values)
    assert (found.rows, found.bits_allocated) == (values[tags.ROWS], values[tags.BITS_ALLOCATED])


@pytest.mark.parametrize(
    ("values", "enough", "detail"),
    [
        ({tags.NUMBER_OF_FRAMES: 4}, Limits(frames=4), "The number of frames exceeds the limit of 3."),
        ({}, Limits(frame_pixels=6), "Rows (0028,0010) x Columns (0028,0011) exceeds the limit max_frame_pixels."),
        (
            {tags.NUMBER_OF_FRAMES: 4},
            Limits(object_bytes=48),
            "The size of all frames together exceeds the limit max_object_bytes.",
        ),
    ],
    ids=["frames", "pixels", "bytes"],
)
def test_a_limit_can_be_reached(values: Values, enough: Limits, detail: str) -> None:
    """Four frames of 2 x 3 pixels of 16 bits are 48 bytes; one less of any limit is too little."""
    (limited,) = [name for name in ("frames", "frame_pixels", "object_bytes")
                  if getattr(enough, name) != getattr(DEFAULT_LIMITS, name)]  # fmt: skip
    less = Limits(**{limited: getattr(enough, limited) - 1})
    assert layout(GREY | values, limits=enough).rows == 2
    with pytest.raises(RejectImage) as refusal:
        layout(GREY | values, limits=less)
    assert (refusal.value.reason, refusal.value.detail) == (Reason.TOO_LARGE, detail)


def test_decoded_pixels_have_a_byte_at_least_and_three_samples_in_colours() -> None:
    """Six pixels of one bit are six bytes, and six pixels in colours are 18."""
    for values, size in ((GREY | ONE_BIT, 6), (COLOUR, 18), (COLOUR | {tags.BITS_ALLOCATED: 16}, 36)):
        assert layout(values, limits=Limits(object_bytes=size)).rows == 2
        with pytest.raises(RejectImage):
            layout(values, limits=Limits(object_bytes=size - 1))
