"""Words that refute their header: pictures of known differences, in which one condition decides."""

from typing import Any

import numpy as np
import pytest
from layouts import layout_of

from imaging.pixel_layout import PixelLayout
from imaging.refuted_bits import has_leaps, in_other_order, refuted_words
from imaging.stored_bits import mask_unused_bits

Words = np.ndarray[Any, Any]
MAYBE_SIGN = "By the pixel values, PixelRepresentation (0028,0103) may be wrong; it was used."
SIGN = "The sign of the pixel values contradicts PixelRepresentation (0028,0103)."
LOW = "The pixel values begin at bit 0, which contradicts HighBit (0028,0102)."
HIGH = "The pixel values end at the highest bit, not at HighBit (0028,0102)."


def grey(bits: int = 16, *, signed: bool = False, high_bit: int | None = None, **values: Any) -> PixelLayout:
    """Return the layout of grey words of 16 bits."""
    high = bits - 1 if high_bit is None else high_bit
    return layout_of(**{"bits_allocated": 16, "bits_stored": bits, "high_bit": high, "signed": signed, **values})


def verdict(words: Words, layout: PixelLayout, *, leaps: bool = True) -> tuple[str, int] | None:
    """Return what the words contradict, and their bits; None if nothing."""
    shift = layout.high_bit + 1 - layout.bits_stored
    refuted = refuted_words(words, mask_unused_bits(words, layout), layout, shift, leaps=leaps)
    return None if refuted is None else (refuted.note, refuted.bits)


def rows_of(row: Any, number: int = 16) -> Words:
    """Return a picture of equal rows, as words without a sign."""
    return np.tile(np.asarray(row).astype(np.int64) & 0xFFFF, (number, 1)).astype(np.uint16)


@pytest.mark.parametrize(("size", "found"), [((15, 17), False), ((16, 16), True), ((256, 1), False)])
def test_leaps_in_a_picture_of_at_least_256_words(size: tuple[int, int], found: bool) -> None:
    """One column has no neighbours."""
    words = np.resize(np.array([0, 0, 40_000], np.uint16), size)
    assert has_leaps(words, grey()) is found
    assert has_leaps(words.astype(np.int32), grey()) is False
    assert has_leaps(words, grey(photometric="PALETTE COLOR")) is False


@pytest.mark.parametrize(("high", "found"), [(32_768, False), (32_769, True)])
def test_a_leap_is_more_than_half_of_all_values(high: int, found: bool) -> None:
    """A single pixel has one."""
    words = np.zeros((16, 16), np.uint16)
    words[1, 5] = high
    assert has_leaps(words, grey()) is found


@pytest.mark.parametrize(
    ("shape", "place", "found"),
    [
        ((24, 400), (1, 72), True), ((24, 400), (1, 71), False), ((24, 400), (1, 327), True),
        ((24, 400), (1, 328), False), ((24, 400), (0, 100), False), ((24, 400), (2, 100), False),
        ((24, 400), (22, 100), True), ((24, 400), (23, 100), False), ((20, 100), (19, 0), True),
        ((20, 100), (18, 0), False), ((20, 100), (1, 99), True),
    ],
)  # fmt: skip
def test_the_middle_of_a_few_rows_is_looked_at(shape: tuple[int, int], place: tuple[int, int], found: bool) -> None:
    """Of 24 or 20 rows, every third one from the second on; of 400 columns, 256 in the middle."""
    words = np.zeros(shape, np.uint16)
    words[place] = 65_535
    assert has_leaps(words, grey()) is found


def order(right: Words, layout: PixelLayout) -> str | None:
    """Return what is found about a picture whose bytes were exchanged: "right", "unsure" or None."""
    words = right.byteswap()
    found = in_other_order(words, mask_unused_bits(words, layout), layout)
    if found is None:
        return None
    assert np.array_equal(found[0], right if "are in" in found[1] else words)
    return "right" if "are in" in found[1] else "unsure"


@pytest.mark.parametrize(("leaps", "found"), [(12, None), (13, "right")])
def test_words_that_are_smooth_are_in_order(leaps: int, found: str | None) -> None:
    """The low byte of a ramp changes by 200 so many times: in the file, 12 of 256 are 4.7 % of the range."""
    across = np.arange(256)
    assert order(rows_of(256 * across + 200 * (np.minimum(across, leaps) % 2)), grey()) == found


@pytest.mark.parametrize(("leaps", "found"), [(61, "unsure"), (64, None)])
def test_the_right_order_is_four_times_as_smooth(leaps: int, found: str | None) -> None:
    """In the file, each pixel is as far from the next as it can be; in the other order, about one in four is."""
    across = np.arange(256)
    high = np.minimum(across // 4 + across % 4 // 3, leaps) % 2
    assert order(rows_of(25_600 * high + 200 * (across % 2)), grey()) == found


@pytest.mark.parametrize(
    ("highest", "signed", "found"), [(4095, False, "right"), (4096, False, None), (4096, True, "right")]
)
def test_the_right_order_has_only_the_stored_bits(highest: int, signed: bool, found: str | None) -> None:
    """With a sign, nothing is said of the bits above."""
    ramp = np.append(15 * np.arange(255), highest)
    right = rows_of(ramp).view(np.int16) if signed else rows_of(ramp)
    assert order(right, grey(12, signed=signed)) == found


def test_overlays_above_smooth_values_are_no_other_order() -> None:
    """The picture is what counts, and not the bits that the header leaves out."""
    words = rows_of(np.arange(256) // 16 | 0x8000 * (np.arange(256) % 2)).view(np.int16)
    layout = grey(12, signed=True)
    assert in_other_order(words, mask_unused_bits(words, layout), layout) is None
    black = rows_of(5 | 0x8000 * (np.arange(256) // 40 % 2))
    assert in_other_order(black, mask_unused_bits(black, grey(12)), grey(12)) is None


def with_high_bytes(*shares: tuple[int, int], black: int = 0, white: int = 0) -> Words:
    """Return a picture whose columns have these high bytes, with noise below, and black or white areas."""
    noise = np.random.default_rng(3).integers(1, 255, (8, sum(share for _, share in shares)))
    high = np.repeat([byte for byte, _ in shares], [share for _, share in shares])
    ends = np.zeros((8, 20), int) + black, np.zeros((8, 20), int) + white
    used = [end for end, value in zip(ends, (black, white), strict=True) if value != -1]
    return np.concatenate([256 * high + noise, *used], axis=1).astype(np.uint16)


@pytest.mark.parametrize(
    ("right", "found"),
    [
        pytest.param(with_high_bytes((9, 90), (10, 90), (11, 20), white=65_535), "right", id="10 %"),
        pytest.param(with_high_bytes((9, 91), (10, 90), (11, 19), white=65_535), "unsure", id="less"),
        pytest.param(with_high_bytes((9, 100), (10, 100), white=65_535), "unsure", id="black and white"),
        pytest.param(with_high_bytes((9, 70), (10, 70), black=1, white=-1), "right", id="nearly black"),
        pytest.param(with_high_bytes((9, 70), (10, 70), black=-1, white=65_534), "right", id="nearly white"),
    ],
)
def test_one_word_in_ten_has_another_high_byte(right: Words, found: str) -> None:
    """Than the two most frequent ones. Black and white do not count, because text in them may be in all bits."""
    assert order(right, grey()) == found


def across_the_sign(leap: int, smooth: int = 20) -> Words:
    """Return 20 rows of 256 values with a sign, in steps of 3; the sign changes in the middle.

    There, so many rows go on in steps of 3, and the others leap.
    """
    ramp = 3 * np.arange(128) + 1
    rows = [np.concatenate([-ramp[::-1] - 1 - far, ramp + far]) for far in [0] * smooth + [leap // 2] * (20 - smooth)]
    return (np.stack(rows) & 0xFFFF).astype(np.uint16)


@pytest.mark.parametrize(
    ("leap", "smooth", "expected"),
    [
        (0, 20, (SIGN, 16)), (20_000, 3, (SIGN, 16)), (20_000, 2, (MAYBE_SIGN, 16)),
        (21_500, 0, (MAYBE_SIGN, 16)), (21_800, 0, None),
    ],
)  # fmt: skip
def test_the_values_are_continuous_where_the_sign_changes(
    leap: int, smooth: int, expected: tuple[str, int] | None
) -> None:
    """In one row of ten at least. A row has 254 steps of 3 and a leap, which is half of the other leap at 21,590."""
    assert verdict(across_the_sign(leap, smooth), grey()) == expected
    assert verdict(across_the_sign(leap, smooth), grey(), leaps=False) is None
    signed = across_the_sign(leap, smooth) ^ 0x8000
    assert verdict(signed.view(np.int16), grey(signed=True)) == expected


@pytest.mark.parametrize(("values", "expected"), [(255, MAYBE_SIGN), (256, SIGN)])
def test_a_picture_with_a_sign_has_256_values(values: int, expected: str) -> None:
    """Pictures that were made from 8 bits have fewer."""
    assert verdict(rows_of(3 * np.arange(values) - 380), grey()) == (expected, 16)


def test_pixels_of_alternating_sign_are_not_continuous() -> None:
    """No two neighbours have the same sign."""
    row = (np.arange(300) + 2) * np.where(np.arange(300) % 2, -1, 1)
    assert verdict(rows_of(row), grey()) == (MAYBE_SIGN, 16)


def test_black_areas_say_nothing_about_continuity() -> None:
    """One pixel in eight is 0: its neighbours differ from it by more than the sign does."""
    words = across_the_sign(8_000, 0)
    words[:, 4::8] = 0
    assert verdict(words, grey()) == (MAYBE_SIGN, 16)


@pytest.mark.parametrize(
    ("low", "high", "signed", "expected"),
    [(1, 65_534, False, (MAYBE_SIGN, 16)), (0, 65_535, False, None), (0, 65_534, False, None), (1, 65_535, False, None),
     (-32_767, 32_766, True, (MAYBE_SIGN, 16)), (-32_768, 32_767, True, None), (-32_768, 32_766, True, None)],
)  # fmt: skip
def test_the_extreme_values_are_black_and_white(
    low: int, high: int, signed: bool, expected: tuple[str, int] | None
) -> None:
    """They leap with any sign."""
    words = rows_of(np.resize([low, high], 256))
    assert verdict(words.view(np.int16) if signed else words, grey(signed=signed)) == expected


def test_the_lowest_value_has_a_sign() -> None:
    """-32768 and -32766 are neighbours in both readings; beside them, the sign changes from -2 to 1."""
    row = np.concatenate([np.resize([-32_768, -32_766], 128), 3 * np.arange(256) - 380])
    assert verdict(rows_of(row), grey()) == (SIGN, 16)


@pytest.mark.parametrize("inside", [False, True])
def test_both_the_sample_and_the_whole_picture_refute_the_sign(inside: bool) -> None:
    """Of 512 columns, the middle has leaps with one sign, and the others have more with the other; or the reverse."""
    leaps, other = np.resize([-90, 60], 256), np.resize([32_700, -32_700], 128)
    words = rows_of(np.concatenate([other, leaps, other]))
    rough = rows_of(np.concatenate([leaps[:128], np.full(256, 60), leaps[:128]]))
    assert verdict(words if inside else rough, grey()) is None
    assert verdict(rows_of(np.tile(leaps, 2)), grey()) == (MAYBE_SIGN, 16)
