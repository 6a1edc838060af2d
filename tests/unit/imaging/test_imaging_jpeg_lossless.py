"""The number of bits of a lossless JPEG frame, counted by hand (ITU-T T.81, annex H)."""

import numpy as np
import pytest
from numpy.typing import ArrayLike

from imaging.jpeg_lossless import coded_bits
from imaging.jpeg_markers import LOSSLESS, Jpeg, Scan

USUAL = bytes([1] * 16) + bytes(range(16))
"""Differences of k bits have a code of k + 1 bits: 2 k + 1 bits together."""


def bits(
    pixels: ArrayLike,
    predictor: int = 1,
    *,
    precision: int = 8,
    shift: int = 0,
    tables: dict[int, bytes] | None = None,
    of: bytes = b"\x00",
) -> int:
    """Return the number of bits of a frame with these tables, by default one for all differences."""
    scan = Scan(b"\x01" * len(of), of, predictor, 0, 0, shift, 0, 0, 0)
    known = {0: USUAL} if tables is None else tables
    jpeg = Jpeg(LOSSLESS, 0, precision, 0, 0, b"\x01", ((1, 1),), 0, known, known, (scan,))
    return coded_bits(np.array(pixels, np.uint8 if precision <= 8 else np.uint16), jpeg)


@pytest.mark.parametrize(
    ("difference", "expected"),
    [(0, 1), (1, 3), (-1, 3), (2, 5), (3, 5), (-3, 5), (4, 7), (-7, 7), (-8, 9), (64, 15), (127, 15), (-128, 17)],
)
def test_a_difference_has_a_code_and_the_bits_of_its_magnitude(difference: int, expected: int) -> None:
    """Table H.2. The first pixel is predicted as half of the range (H.1.2.1)."""
    assert bits([[128 + difference]]) == expected
    assert bits([[128, 128 + difference]]) == 1 + expected
    assert bits([[128], [128 + difference]]) == 1 + expected


def test_the_first_row_is_predicted_from_the_left_and_the_first_column_from_above() -> None:
    """Whatever the predictor of the scan is (H.1.1)."""
    for predictor in range(1, 8):
        assert bits([[128, 132, 133, 134]], predictor) == 1 + 7 + 3 + 3
        assert bits([[128], [132], [133], [134]], predictor) == 1 + 7 + 3 + 3


@pytest.mark.parametrize(
    ("corner", "above", "left", "predictions"),
    [
        (128, 132, 144, (144, 132, 128, 148, 146, 140, 138)),
        (128, 125, 135, (135, 125, 128, 132, 133, 128, 130)),
        (140, 151, 126, (126, 151, 140, 137, 131, 144, 138)),
        (120, 110, 105, (105, 110, 120, 95, 100, 102, 107)),
    ],
)
@pytest.mark.parametrize("precision", [8, 14, 15, 16])
def test_the_predictors(corner: int, above: int, left: int, predictions: tuple[int, ...], precision: int) -> None:
    """Table H.1: A, B, C, A+B-C, A+(B-C)/2, B+(A-C)/2, (A+B)/2, with an arithmetic shift for the half."""
    offset = (1 << precision - 1) - 128
    first = np.array([[corner, above], [left, 0]]) + offset
    fixed = bits([[corner + offset, above + offset]], precision=precision)
    fixed += bits([[corner + offset], [left + offset]], precision=precision)
    fixed -= bits([[corner + offset]], precision=precision)
    for predictor, predicted in enumerate(predictions, 1):
        for difference, expected in ((-1, 3), (0, 1), (1, 3)):
            first[1, 1] = predicted + difference + offset
            assert bits(first.tolist(), predictor, precision=precision) == fixed + expected, predictor


@pytest.mark.parametrize(
    ("predictor", "pixels", "edges"),
    [
        (1, [[128, 128, 128, 128], [136, 136, 136, 136], [137, 137, 137, 137]], 3 + 9 + 3),
        (2, [[128, 136, 137, 135], [128, 136, 137, 135], [128, 136, 137, 135]], 2 + 9 + 3 + 5),
        (3, [[128, 136, 137, 135], [132, 128, 136, 137], [133, 132, 128, 136]], 9 + 3 + 5 + 7 + 3),
        (4, [[128, 136, 137, 135], [132, 140, 141, 139], [133, 141, 142, 140]], 9 + 3 + 5 + 7 + 3),
        (5, [[128, 144, 160, 176], [128, 136, 144, 152], [128, 132, 136, 140]], 3 * 11 + 2),
        (6, [[128, 128, 128, 128], [144, 136, 132, 130], [160, 144, 136, 132]], 3 + 2 * 11),
        (7, [[128, 136, 137, 135], [132, 134, 135, 135], [133, 133, 134, 134]], 9 + 3 + 5 + 7 + 3),
    ],
)
def test_each_pixel_is_predicted_from_its_own_neighbours(predictor: int, pixels: list[list[int]], edges: int) -> None:
    """All six pixels that are neither in the first row nor in the first column are as predicted: one bit each."""
    assert bits(pixels, predictor) == 1 + edges + 6


@pytest.mark.parametrize(("precision", "top"), [(14, 16_383), (15, 32_767), (16, 65_535)])
def test_sums_of_large_pixels_do_not_overflow(precision: int, top: int) -> None:
    """The mean of two white pixels is white; so are the other predictions."""
    first = bits([[top]], precision=precision)
    for predictor in range(1, 8):
        assert bits([[top, top], [top, top]], predictor, precision=precision) == first + 3, predictor
    steep = [[0, top], [top, top]]
    edge = bits([[0]], precision=precision) + 2 * (
        bits([[0, top]], precision=precision) - bits([[0]], precision=precision)
    )
    for predictor, predicted in ((1, top), (2, top), (7, top)):
        assert predicted == top
        assert bits(steep, predictor, precision=precision) == edge + 1


def test_differences_are_taken_modulo_65536() -> None:
    """From 65,535 to 0 is one step up. 32,768 has 16 bits, but none behind its code (H.1.2.2)."""
    assert bits([[32_768, 65_535, 0]], precision=16, tables={0: bytes([1] * 16) + bytes(range(15)) + b"\x0f"}) == (
        1 + 31 + 3
    )
    largest = bytes(15) + b"\x01" + b"\x10"
    assert bits([[0]], precision=16, tables={0: largest}) == 16
    assert bits([[0]], precision=16, tables={0: b"\x01" + bytes(15) + b"\x10"}) == 1


def test_the_lengths_of_codes_are_those_of_the_table() -> None:
    """Two symbols of two bits, none of three, and one of four."""
    table = bytes([0, 2, 0, 1] + [0] * 12) + b"\x00\x01\x02"
    assert bits([[128]], tables={0: table}) == 2
    assert bits([[129]], tables={0: table}) == 2 + 1
    assert bits([[130]], tables={0: table}) == 4 + 2


def test_a_difference_without_a_code_has_more_bits_than_any_frame() -> None:
    """255: the frame cannot be what the decoder made of it."""
    table = bytes([1] + [0] * 15) + b"\x00"
    assert bits([[128, 129]], tables={0: table}) == 1 + 255
    assert bits([[128]], tables={}) == 255
    assert bits([[129]], tables={0: table + b"\x01"}) == 255
    assert bits([[130]], tables={0: table[:16] + b"\x01\x02"}) == 255


def test_each_component_has_its_own_table() -> None:
    """Its number is in the high half-byte (B.2.3). The pixels of the components lie beside each other."""
    other = bytes([0, 0, 0, 0, 3] + [0] * 11) + b"\x00\x01\x02"
    pixels = [[[128, 128, 130]]]
    assert bits(pixels, tables={0: USUAL, 1: other, 2: USUAL}, of=b"\x03\x12\x21") == 1 + 5 + 5
    assert bits(pixels, tables={0: USUAL, 1: other}, of=b"\x00\x00\x10") == 1 + 1 + 7


def test_a_point_transform_leaves_out_the_lowest_bits() -> None:
    """Half of the range is half of what is left (H.1.2.1): 128 >> 2 is 32."""
    assert bits([[128, 131, 132]], shift=2) == 1 + 1 + 3
    assert bits([[2048, 2051, 2052]], precision=12, shift=2) == 1 + 1 + 3
    assert bits([[[128, 131, 128]]], shift=2, of=b"\x00\x00\x00") == 3
