"""The size of uncompressed frames, and the length of the pixel data that tells 4:2:2 from three samples a pixel."""

import pytest
from test_imaging_pixel_layout import COLOUR, GREY, ONE_BIT, Values, layout

from imaging import tags
from imaging.walk import UNDEFINED

WIDE_WORDS: Values = {tags.BITS_ALLOCATED: 16, tags.BITS_STORED: 16, tags.HIGH_BIT: 15}
EIGHT: Values = {tags.ROWS: 2, tags.COLUMNS: 4}
"""Eight pixels: 16 bytes with half the chroma, 24 bytes with three samples."""


def test_a_frame_of_bits_may_end_within_a_byte() -> None:
    """PS3.5 section 8.1.1: nothing is between the frames; bits fill the last byte."""
    for frames, size in ((1, 1), (2, 2), (4, 3), (5, 4)):
        found = layout(GREY | ONE_BIT | {tags.NUMBER_OF_FRAMES: frames})
        assert (found.frame_bits, found.stored_bytes) == (6, size)


def test_a_frame_has_the_bits_of_all_its_samples() -> None:
    """2 x 3 pixels of 16 bits, and the same in RGB of 8 bits."""
    grey, colour = layout(GREY | {tags.NUMBER_OF_FRAMES: 2}), layout(COLOUR)
    assert (grey.frame_bits, grey.stored_bytes) == (96, 24)
    assert (colour.frame_bits, colour.stored_bytes) == (144, 18)


@pytest.mark.parametrize(
    ("label", "frames", "length", "subsampled"),
    [
        ("YBR_FULL_422", 1, UNDEFINED, False),  # compressed
        ("YBR_FULL_422", 1, 16, True),
        ("YBR_FULL_422", 1, 17, True),
        ("YBR_FULL_422", 1, 24, False),
        ("YBR_FULL_422", 1, 25, False),
        ("YBR_FULL_422", 2, 32, True),
        ("YBR_FULL_422", 2, 48, False),  # also three frames of 16 bytes
        ("YBR_FULL_422", 3, 48, True),  # less than three frames of 24 bytes
        ("YBR_FULL_422", 1, 72, False),  # 8 bytes more than four frames of 16, and three frames of 24 bytes
        ("YBR_FULL_422", 1, 96, True),  # six frames of 16 bytes, or four of 24: the label decides
        ("YBR_FULL_422", 1, 34, True),  # 2 bytes more than two frames of 16, 10 more than one of 24
        ("YBR_FULL_422", 1, 26, False),  # 10 bytes more than one frame of 16, 2 more than one of 24
        ("YBR_FULL_422", 2, 26, True),  # the same, but less than two frames of 24 bytes
        ("YBR_FULL_422", 1, 10, True),  # less than one frame
        ("YBR_PARTIAL_422", 1, 16, True),
        ("YBR_PARTIAL_422", 1, 24, False),
        ("YBR_FULL", 1, 16, True),  # written by programs that change only the label
        ("YBR_FULL", 1, 17, True),
        ("YBR_FULL", 1, 18, False),
        ("YBR_FULL", 1, 15, False),
        ("YBR_FULL", 1, 24, False),
        ("YBR_FULL", 2, 32, True),
        ("YBR_FULL", 3, 48, False),  # also two frames of 24 bytes
        ("YBR_FULL", 3, 49, False),
        ("YBR_FULL", 1, UNDEFINED, False),
        ("YBR_PARTIAL_420", 1, 16, False),
        ("YBR_ICT", 1, 16, False),
        ("RGB", 1, 16, False),
    ],
)
def test_the_length_tells_half_the_chroma(label: str, frames: int, length: int, subsampled: bool) -> None:
    """A byte more makes the length even."""
    values: Values = {tags.PHOTOMETRIC_INTERPRETATION: label, tags.NUMBER_OF_FRAMES: frames}
    assert layout(COLOUR | EIGHT | values, length=length).subsampled is subsampled


def test_half_the_chroma_is_two_samples_for_each_pixel() -> None:
    """Eight pixels in words of 16 bits are 32 bytes."""
    values = COLOUR | EIGHT | WIDE_WORDS | {tags.PHOTOMETRIC_INTERPRETATION: "YBR_FULL_422"}
    found = layout(values, length=32)
    assert (found.subsampled, found.frame_bits, found.stored_bytes) == (True, 256, 32)
    assert layout(values, length=48).subsampled is False
