"""Conversion of single colours to RGB, and the guess what three samples are; all values are calculated by hand."""

import numpy as np
import pytest
from layouts import colour_layout, field

from imaging.array import Array
from imaging.colour import guess_label, labelled_to_rgb, ybr_to_rgb
from imaging.pixel_layout import PixelLayout

GREY_OF_RGB, GREY_OF_YBR = field(90, 90, 90), field(200, 128, 128)
PLAUSIBLE, FAR_OUT = (100, 110, 100), (255, 128, 140)
"""As YBR the first is (61, 126, 68), and the second has a red of 272; neither is grey."""


def row(*colours: tuple[int, ...]) -> Array:
    """Return four rows whose sampled pixels, each fourth, have these colours."""
    return np.repeat(np.array([colours] * 4, np.uint8), 4, axis=1)


@pytest.mark.parametrize(
    ("ybr", "rgb"),
    [
        ((100, 150, 60), (5, 141, 139)),  # 4.664, 140.990, 138.984
        ((10, 128, 129), (11, 9, 10)),  # 11.402, 9.286, 10
        ((200, 129, 128), (200, 200, 202)),  # 200, 199.656, 201.772
        ((255, 128, 255), (255, 164, 255)),  # 433.054, 164.305, 255
        ((0, 0, 0), (0, 135, 0)),  # -179.456, 135.459, -226.816
    ],
)
def test_ybr_is_converted_and_rounded(ybr: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    """PS3.3 C.7.6.3.1.2: R = Y + 1.402 Cr, G = Y - 0.344136 Cb - 0.714136 Cr, B = Y + 1.772 Cb around the middle."""
    assert ybr_to_rgb(field(*ybr), 8)[3, 3].tolist() == list(rgb)


def test_ybr_of_16_bits_has_another_middle_and_end() -> None:
    """1.402 times 1000 are 1402; 65,535 is white."""
    assert ybr_to_rgb(field(2000, 32768, 33768, dtype=np.uint16), 16)[0, 0].tolist() == [3402, 1286, 2000]
    assert ybr_to_rgb(field(65000, 32768, 33768, dtype=np.uint16), 16)[0, 0].tolist() == [65535, 64286, 65000]


@pytest.mark.parametrize("label", ["YBR_PARTIAL_422", "YBR_PARTIAL_420"])
@pytest.mark.parametrize(
    ("ybr", "rgb"),
    [
        ((180, 128, 128), (191, 191, 191)),  # (180 - 16) * 255 / 219 = 190.96
        ((17, 128, 220), (148, 0, 1)),  # 1.164 + 1.402 * (220 - 128) * 255 / 224 = 147.998
        ((17, 220, 128), (1, 0, 187)),  # 1.164 + 1.772 * (220 - 128) * 255 / 224 = 186.75
        ((16, 128, 128), (0, 0, 0)),
        ((235, 128, 128), (255, 255, 255)),
    ],
)
def test_partial_ybr_ends_at_16_and_235(label: str, ybr: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    """ITU-R BT.601: luma from 16 to 235, chroma from 16 to 240."""
    assert labelled_to_rgb(field(*ybr), colour_layout(label))[0, 0].tolist() == list(rgb)


def test_partial_ybr_of_16_bits() -> None:
    """Black is 4096 and the middle 32,768: (46,080 - 4096) * 255 / 219 = 48,885.48."""
    layout = colour_layout("YBR_PARTIAL_422", bits_allocated=16, bits_stored=16, high_bit=15)
    grey = labelled_to_rgb(field(46080, 32768, 32768, dtype=np.uint16), layout)
    assert grey.dtype == np.uint16
    assert grey[0, 0].tolist() == [48885] * 3


@pytest.mark.parametrize(
    ("layout", "pixels", "converted"),
    [
        (colour_layout("RGB"), GREY_OF_YBR, False),
        (colour_layout("YBR_RCT"), GREY_OF_YBR, False),
        (colour_layout("YBR_FULL"), GREY_OF_RGB, True),
        (colour_layout("YBR_FULL_422"), GREY_OF_RGB, False),
        (colour_layout("YBR_FULL_422"), GREY_OF_YBR, True),
        (colour_layout("YBR_FULL_422", subsampled=True), GREY_OF_RGB, True),
        (colour_layout("YBR_FULL", subsampled=True), GREY_OF_RGB, True),
    ],
)
def test_only_a_label_of_422_with_all_samples_is_doubted(layout: PixelLayout, pixels: Array, converted: bool) -> None:
    """As YBR (90, 90, 90) is (37, 130, 23), and (200, 128, 128) is (200, 200, 200)."""
    rgb = {90: [37, 130, 23], 200: [200, 200, 200]}[int(pixels[0, 0, 0])]
    assert labelled_to_rgb(pixels, layout)[0, 0].tolist() == (rgb if converted else pixels[0, 0].tolist())


@pytest.mark.parametrize(
    ("bits", "grey", "coloured"),
    [
        (4, (5, 6, 5), (5, 7, 5)),
        (8, (100, 102, 100), (100, 103, 100)),
        (12, (1600, 1632, 1600), (1600, 1633, 1600)),
        (16, (30000, 30512, 30000), (30000, 30513, 30000)),
    ],
)
def test_nearly_equal_samples_are_a_grey_of_rgb(bits: int, grey: tuple[int, ...], coloured: tuple[int, ...]) -> None:
    """Two of 256 is the limit, at least 1. The other colour could be YBR."""
    assert guess_label([field(*grey, dtype=np.uint16)], bits) == "RGB"
    assert guess_label([field(*coloured, dtype=np.uint16)], bits) == "YBR_FULL"


@pytest.mark.parametrize(
    ("bits", "middle", "limit"),
    [(8, 128, 2), (12, 2048, 32), (16, 32768, 512)],
)
def test_chroma_near_the_middle_is_a_grey_of_ybr(bits: int, middle: int, limit: int) -> None:
    """Two of 256 is the limit, for both and in both directions. Two such frames outweigh one of grey RGB."""
    grey = field(middle // 2, middle // 2, middle // 2, dtype=np.uint16)
    for chroma in ((limit, 0), (-limit, limit), (0, -limit)):
        ybr = field(middle + 20 * limit, middle + chroma[0], middle + chroma[1], dtype=np.uint16)
        assert guess_label([grey, ybr, ybr], bits) == "YBR_FULL"
    for chroma in ((limit + 1, 0), (0, limit + 1), (-limit - 1, 0), (0, -limit - 1)):
        ybr = field(middle + 20 * limit, middle + chroma[0], middle + chroma[1], dtype=np.uint16)
        assert guess_label([grey, ybr, ybr], bits) == "RGB"


def test_every_grey_pixel_counts_once() -> None:
    """Pixels of one frame are compared one by one."""
    two_of_rgb, one_of_ybr = row((10, 10, 10), (200, 200, 200)), row((200, 128, 128), (200, 128, 150))
    assert guess_label([two_of_rgb, one_of_ybr], 8) == "RGB"
    two_of_ybr = row((200, 128, 128), (200, 128, 128), (200, 150, 150))
    assert guess_label([GREY_OF_RGB, two_of_ybr], 8) == "YBR_FULL"


def test_every_fourth_row_and_column_is_looked_at() -> None:
    """Four of 64 pixels decide."""
    for seen, other, label in (
        ((90, 90, 90), (200, 128, 128), "RGB"), ((200, 128, 128), (90, 90, 90), "YBR_FULL"),
        (PLAUSIBLE, FAR_OUT, "YBR_FULL"), (FAR_OUT, PLAUSIBLE, "RGB"),
    ):  # fmt: skip
        picture = np.full((8, 8, 3), other, np.uint8)
        picture[np.ix_((0, 4), (0, 4))] = seen
        assert guess_label([picture], 8) == label


@pytest.mark.parametrize(
    ("bits", "allowed", "beyond"),
    [
        (8, (255, 128, 139), (255, 128, 140)),  # red 270.4 and 271.8: the limit is 271
        (8, (0, 128, 117), (0, 128, 116)),  # red -15.4 and -16.8: the limit is -16
        (8, (255, 137, 128), (255, 138, 128)),  # blue 270.9 and 272.7
        (8, (0, 119, 128), (0, 118, 128)),  # blue -15.9 and -17.7
        (16, (65535, 32768, 35507), (65535, 32768, 35509)),  # red 69,375.1 and 69,377.9: the limit is 69,376
        (16, (0, 32768, 29847), (0, 32768, 29845)),  # red -4095.2 and -4098.0: the limit is -4096
    ],
)
def test_colours_far_beyond_white_and_black_are_rgb(
    bits: int, allowed: tuple[int, ...], beyond: tuple[int, ...]
) -> None:
    """One component 16 of 256 beyond is enough."""
    assert guess_label([field(*allowed, dtype=np.uint16)], bits) == "YBR_FULL"
    assert guess_label([field(*beyond, dtype=np.uint16)], bits) == "RGB"


@pytest.mark.parametrize(("far_out", "label"), [(0, "YBR_FULL"), (1, "YBR_FULL"), (2, "RGB")])
def test_a_tenth_of_the_pixels_may_lie_far_out(far_out: int, label: str) -> None:
    """Of ten pixels that are looked at; each frame must keep the limit."""
    picture = row(*[PLAUSIBLE] * (10 - far_out), *[FAR_OUT] * far_out)
    assert guess_label([picture], 8) == label
    assert guess_label([picture, row(PLAUSIBLE)], 8) == label


def test_without_any_grey_or_with_as_many_of_each_the_colours_decide() -> None:
    """A pixel in the middle is a grey of both."""
    assert guess_label([field(128, 128, 128)], 8) == "YBR_FULL"
    assert guess_label([GREY_OF_RGB, GREY_OF_YBR, field(*PLAUSIBLE)], 8) == "YBR_FULL"
    assert guess_label([GREY_OF_RGB, GREY_OF_YBR, field(*FAR_OUT)], 8) == "RGB"
