"""Words of which the header uses a part: what they refute, with known differences on both sides of each limit."""

from typing import Any

import numpy as np
import pytest
from layouts import colour_layout, layout_of
from test_imaging_refuted_words import HIGH, LOW, SIGN, Words, grey, rows_of, verdict

from imaging.refuted_bits import refuted_words


def bits(number: int, stored: int = 12) -> tuple[str, int]:
    return f"The pixel values have {number} bits, but BitsStored (0028,0101) is {stored}.", number


def signed_bits(number: int) -> tuple[str, int]:
    return f"The pixel values have {number} bits and a sign, but BitsStored (0028,0101) is 12.", number


def zigzag(low: int, high: int) -> Words:
    """Return rows that go up and down in seven steps, so that the sum of their differences is that of whole ways."""
    steps = np.linspace(low, high, 8).round()
    return rows_of(np.tile(np.concatenate([steps, steps[-2:0:-1]]), 16))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([4096, 5000, 100], None), ([4095, 17, 33, 18], (LOW, 12)), ([4096, 17, 33, 18], None),
        ([17, 0, 0, 0], (LOW, 12)), ([15, 3, 7, 0], None), ([32, 48, 17, 33], (LOW, 12)), ([32, 48, 64, 33], None),
        ([16, 17, 32, 1], None), ([31, 16, 1, 2], (LOW, 12)),
    ],
)  # fmt: skip
def test_values_in_the_low_bits(words: list[int], expected: tuple[str, int] | None) -> None:
    """All fit into 12 bits, and half of those above 15 use the lowest four bits, although HighBit is 15."""
    assert verdict(rows_of(words), grey(12, high_bit=15)) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [([-2048, 2047, 17], (LOW, 12)), ([-2049, 2047, 17], None), ([-2048, 2048, 17], None), ([1, 1, 17], (LOW, 12))],
)
def test_values_with_a_sign_in_the_low_bits(words: list[int], expected: tuple[str, int] | None) -> None:
    """From -2048 to 2047."""
    assert verdict(rows_of(words).view(np.int16), grey(12, signed=True, high_bit=15)) == expected


def test_one_bit_between_the_values_and_bit_0() -> None:
    """HighBit 12 with 12 bits: odd values use bit 0."""
    assert verdict(rows_of([5, 7, 4000]), grey(12, high_bit=12)) == (LOW, 12)


@pytest.mark.parametrize(("low", "expected"), [(3186, bits(13)), (3185, None)])
def test_the_bits_above_make_a_picture_smoother(low: int, expected: tuple[str, int] | None) -> None:
    """Pixels of `low` and 5006: they differ by 1820 or 1821, and their lowest 12 bits by 2276 or 2275."""
    assert verdict(rows_of(np.resize([low, 5006], 256)), grey(12)) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-2048, 2047, (SIGN, 12)), (-2049, 2047, signed_bits(13)), (-2048, 2048, signed_bits(13)),
        (-4096, 100, signed_bits(13)), (-4097, 100, signed_bits(14)), (-2000, 4096, signed_bits(14)),
        (30_000, 36_000, bits(16)),
    ],
)  # fmt: skip
def test_the_sign_and_the_bits_of_a_smooth_picture(low: int, high: int, expected: tuple[str, int] | None) -> None:
    """Seven steps from one end to the other. The header says 12 bits without a sign."""
    assert verdict(zigzag(low, high), grey(12)) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 4095, (SIGN, 12)), (1, 4000, (SIGN, 12)), (-1, 4095, signed_bits(13)),
                                  (0, 4096, signed_bits(14)), (0, 2047, None), (-4097, 100, signed_bits(14))],
)  # fmt: skip
def test_values_called_signed(low: int, high: int, expected: tuple[str, int] | None) -> None:
    """From 0 to 4095 they are 12 bits without a sign."""
    assert verdict(zigzag(low, high).view(np.int16), grey(12, signed=True)) == expected


@pytest.mark.parametrize(("marks", "expected"), [([-1, -2], None), ([-1, -2, -3], (SIGN, 12))])
def test_two_values_with_a_sign_are_marks(marks: list[int], expected: tuple[str, int] | None) -> None:
    """Text in a picture of many values, of which 0 is one."""
    words = zigzag(0, 2000)
    words[:, 16 : 16 + len(marks)] = np.array(marks).astype(np.uint16)
    assert verdict(words, grey(12)) == expected


@pytest.mark.parametrize(("values", "expected"), [(5, None), (6, (HIGH, 12))])
def test_values_at_the_highest_bit(values: int, expected: tuple[str, int] | None) -> None:
    """Four overlays in bits 12 to 15 that never meet have five values. The lowest four bits are zero."""
    high = np.array([0, 1, 2, 4, 8, 3])[:values] << 12
    words = rows_of(np.repeat(np.resize(high, 32), 8) + np.resize([0, 1600], 256))
    assert verdict(words, grey(12)) == expected
    words[3, 3] |= 1
    assert verdict(words, grey(12)) is None


@pytest.mark.parametrize("signed", [False, True])
def test_a_palette_and_colours_in_range_keep_their_sign(signed: bool) -> None:
    """Only colours that are said to have a sign are looked at; so many of these leap from 127 to -128."""
    words = np.resize(np.array([120, 120, 120, 136, 136, 136], np.uint8), (1, 300))
    said = words.view(np.int8) if signed else words
    palette = layout_of(photometric="PALETTE COLOR", signed=signed)
    colours = colour_layout("RGB", signed=signed)
    assert refuted_words(said, said, palette, 0, leaps=False) is None
    found = refuted_words(said.reshape(-1), said.reshape(-1), colours, 0, leaps=False)
    assert (found is not None) is signed
    wrapped = np.resize(np.array([250, 250, 250, 5, 5, 5], np.uint8), 300)
    assert refuted_words(wrapped, wrapped, colour_layout("RGB"), 0, leaps=False) is None


@pytest.mark.parametrize(("far", "refuted"), [(113, True), (114, False)])
def test_colours_without_a_sign_are_clearly_smoother(far: int, refuted: bool) -> None:
    """Neighbours differ by 113 or 114 of 256, and with a sign by 143 or 142: 80 % are 114.4 and 113.6."""
    words = np.resize(np.array([70] * 3 + [70 + far] * 3, np.uint8), 300).view(np.int8)
    found: Any = refuted_words(words, words, colour_layout("RGB", signed=True), 0, leaps=False)
    assert (found is not None) is refuted
