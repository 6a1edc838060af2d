"""Words whose bits lie elsewhere than the header says, to the last value at which the pixels decide."""

from typing import Any

import numpy as np
import pytest

from imaging.array import Array
from imaging.pixel_layout import PixelLayout
from imaging.stored_bits import StoredValues, decoded_values, native_values
from imaging.tags import FLOAT_PIXEL_DATA, PIXEL_DATA

AT_BIT_0 = "The pixel values begin at bit 0, which contradicts HighBit (0028,0102)."


def layout(**values: Any) -> PixelLayout:
    """Return the layout of words of 16 bits, of which 12 are stored in bits 0 to 11."""
    usual: dict[str, Any] = {
        "rows": 1,
        "columns": 4,
        "frames": 1,
        "samples": 1,
        "photometric": "MONOCHROME2",
        "planar": False,
        "bits_allocated": 16,
        "bits_stored": 12,
        "high_bit": 11,
        "signed": False,
        "pixel_tag": PIXEL_DATA,
    }
    return PixelLayout(**usual | values)


def words(values: list[int], dtype: str = "u2") -> Array:
    """Return one row of words."""
    return np.array([values], dtype)


def native(values: list[int], dtype: str = "u2", **elements: Any) -> tuple[list[int], int, str]:
    """Return the values of uncompressed words, their bits and the note."""
    return read(native_values(words(values, dtype), layout(signed=dtype.startswith("i"), **elements)))


def decoded(values: list[int], dtype: str = "u2", *, precision: int = 16, **options: Any) -> tuple[list[int], int, str]:
    """Return the values of a codestream, by default a lossless and unsigned one, their bits and the note."""
    stream = {"signed": options.pop("signed", False), "lossless": options.pop("lossless", True)}
    options["signed"] = options.pop("header_signed", False)
    return read(decoded_values(words(values, dtype), layout(**options), precision, **stream))


def read(stored: StoredValues) -> tuple[list[int], int, str]:
    """Return the parts that a test compares. Only values of fewer bits may be scaled."""
    assert stored.scaled is False
    return stored.values.reshape(-1).tolist(), stored.bits, stored.note


@pytest.mark.parametrize(
    ("values", "expected", "note"),
    [
        ([24, 40, 56, 72], [24, 40, 56, 72], AT_BIT_0),  # each has bit 3, the highest of those below bit 4
        ([16, 32, 48, 64], [1, 2, 3, 4], ""),
        ([16, 17, 0, 0], [16, 17, 0, 0], AT_BIT_0),  # one of two
        ([16, 16, 17, 0], [1, 1, 1, 0], ""),  # one of three
        ([17, 0, 0, 0], [17, 0, 0, 0], AT_BIT_0),
        ([15, 15, 15, 15], [0, 0, 0, 0], ""),  # nothing but what an overlay may have
        ([17, 4095, 0, 0], [17, 4095, 0, 0], AT_BIT_0),
        ([17, 4096, 0, 0], [1, 256, 0, 0], ""),
    ],
)
def test_values_begin_at_bit_0_if_half_of_them_use_the_low_bits(
    values: list[int], expected: list[int], note: str
) -> None:
    """HighBit 15 says that the low four bits are no part of the values."""
    assert native(values, high_bit=15) == (expected, 12, note)
    assert decoded(values, high_bit=15) == (expected, 12, note)


@pytest.mark.parametrize(
    ("values", "expected", "note"), [([2, 4, 6, 8], [1, 2, 3, 4], ""), ([3, 5, 7, 9], [3, 5, 7, 9], AT_BIT_0)]
)
def test_one_bit_below_the_values_is_enough(values: list[int], expected: list[int], note: str) -> None:
    """HighBit 12: the values lie in bits 1 to 12, unless most words use bit 0."""
    assert native(values, high_bit=12) == (expected, 12, note)
    assert decoded(values, high_bit=12) == (expected, 12, note)


@pytest.mark.parametrize(
    ("values", "expected", "note"),
    [
        ([17, -2048, 0, 0], [17, -2048, 0, 0], AT_BIT_0),
        ([17, -2049, 0, 0], [1, -129, 0, 0], ""),
        ([17, 2047, 0, 0], [17, 2047, 0, 0], AT_BIT_0),
        ([17, 2048, 0, 0], [1, 128, 0, 0], ""),
    ],
)
def test_signed_values_begin_at_bit_0_if_all_fit(values: list[int], expected: list[int], note: str) -> None:
    """12 bits with a sign are -2048 to 2047; other words lie where HighBit 15 says."""
    assert native(values, "i2", high_bit=15) == (expected, 12, note)
    assert decoded(values, "i2", header_signed=True, high_bit=15) == (expected, 12, note)


def test_smooth_words_between_other_bits_are_shifted() -> None:
    """HighBit 13: a ramp over 14 bits is one of 12, and no proof of more bits."""
    assert native([0, 5460, 10920, 16380], high_bit=13) == ([0, 1365, 2730, 4095], 12, "")
    assert decoded([0, 5460, 10920, 16380], high_bit=13) == ([0, 1365, 2730, 4095], 12, "")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([10, 16, 17], ([10, 16, 17], 5, "The pixel values have 5 bits, but BitsStored (0028,0101) is 4.")),
        ([9, 16, 17], ([9, 0, 1], 4, "")),
        ([9, 9, 16], ([9, 9, 16], 5, "The pixel values have 5 bits, but BitsStored (0028,0101) is 4.")),
    ],
)
def test_words_are_values_if_they_vary_by_less_than_four_fifths(
    values: list[int], expected: tuple[list[int], int, str]
) -> None:
    """9, 16, 17 vary by 8, and their low four bits 9, 0, 1 by 10; 10, 16, 17 by 7 and 11; 9, 9, 16 by 7 and 9."""
    assert native(values, columns=3, bits_stored=4, high_bit=3) == expected
    assert decoded(values, columns=3, bits_stored=4, high_bit=3) == expected


@pytest.mark.parametrize("photometric", ["PALETTE COLOR", "RGB"])
def test_only_grey_values_may_have_more_bits_than_stored(photometric: str) -> None:
    """Indices and colours are masked, however smooth they are."""
    assert native([10, 16, 17], bits_stored=4, high_bit=3, photometric=photometric) == ([10, 0, 1], 4, "")


def test_signed_values_have_no_more_bits_than_stored() -> None:
    """Four bits with a sign: 10 is -6, and 17 is 1."""
    assert native([10, 16, 17], "i2", bits_stored=4, high_bit=3) == ([-6, 0, 1], 4, "")


def test_one_bit_above_the_stored_ones_is_dropped() -> None:
    """BitsStored 15 of 16, with an overlay in bit 15."""
    assert native([0x8001, 1, 0x8001, 1], bits_stored=15, high_bit=14) == ([1, 1, 1, 1], 15, "")


def test_floats_have_no_stored_bits() -> None:
    """Their header may say 16 bits all the same: two neighbours are neither masked nor taken for smooth integers."""
    floats = np.array([[0x3F80FFFF, 0x3F810000]], np.uint32).view(np.float32)
    stored = native_values(floats, layout(bits_allocated=32, bits_stored=16, high_bit=15, pixel_tag=FLOAT_PIXEL_DATA))
    assert read(stored) == ([1.0078123807907104, 1.0078125], 16, "")


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        (8, ([200, 0, 0, 255], 8, True)),
        (9, ([200, 0, 0, 255], 12, False)),
    ],
)
def test_a_lossless_stream_of_8_bits_was_probably_scaled(precision: int, expected: tuple[list[int], int, bool]) -> None:
    """One of 9 bits has only as many bits as its values need."""
    stored = decoded_values(words([200, 0, 0, 255]), layout(), precision, signed=False, lossless=True)
    assert (stored.values.reshape(-1).tolist(), stored.bits, stored.scaled) == expected
    assert stored.note == f"The compressed frames have {precision} bits per sample, but BitsStored (0028,0101) is 12."


def test_a_stream_of_the_stored_bits_needs_no_note() -> None:
    """12 of 12 bits; a sign of the header is extended from bit 11."""
    assert decoded([0, 2047, 2048, 4095], precision=12) == ([0, 2047, 2048, 4095], 12, "")
    assert decoded([0, 2047, 2048, 4095], precision=12, header_signed=True) == ([0, 2047, -2048, -1], 12, "")
    assert decoded([0, 2047, -2048, -1], "i2", precision=12, signed=True, header_signed=True) == (
        [0, 2047, -2048, -1], 12, "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ({"signed": False, "lossless": True}, [0, 511, -512, -1]),
        ({"signed": False, "lossless": False}, [0, 511, 512, 1023]),
        ({"signed": True, "lossless": True}, [0, 511, 512, 1023]),
    ],
)
def test_a_sign_of_the_header_is_extended_from_the_bits_of_the_stream(
    stream: dict[str, bool], expected: list[int]
) -> None:
    """10 of 12 bits, lossless and unsigned. A signed stream has its sign already, and a lossy one was scaled."""
    stored = decoded_values(words([0, 511, 512, 1023]), layout(signed=True), 10, **stream)
    assert stored.values.reshape(-1).tolist() == expected
    assert (stored.bits, stored.scaled) == ((12, False) if stream["lossless"] else (10, True))


def test_indices_of_fewer_bits_need_no_note() -> None:
    """A palette may be smaller than BitsStored admits; the indices are never scaled."""
    elements = {"photometric": "PALETTE COLOR", "bits_stored": 8, "high_bit": 7, "bits_allocated": 8}
    assert decoded([0, 1, 2, 15], "u1", precision=4, **elements) == ([0, 1, 2, 15], 8, "")
    assert decoded([0, 1, 2, 15], "u1", precision=4, lossless=False, **elements) == ([0, 1, 2, 15], 8, "")


@pytest.mark.parametrize(
    ("values", "is_signed"),
    [
        ([-2048, 2047], True),
        ([-1, 2047], True),
        ([-2049, 2047], False),
        ([-2048, 2048], False),
        ([0, 2047], False),
    ],
)
def test_words_of_a_signed_stream_are_values_if_all_fit(values: list[int], is_signed: bool) -> None:
    """The header says unsigned, and 12 bits; one value at least is negative."""
    found = decoded(values, "i2", signed=True)
    note = "The compressed frames have signed samples, which contradicts PixelRepresentation (0028,0103)."
    assert (found[2] == note) is is_signed
    if is_signed:
        assert found == (values, 12, note)


def test_a_signed_stream_of_the_stored_bits_is_signed() -> None:
    """It needs no negative value: 12 of 12 bits. A lossless one stays so, and so does a lossy one."""
    note = "The compressed frames have signed samples, which contradicts PixelRepresentation (0028,0103)."
    for lossless in (True, False):
        found = decoded([0, 5, 9, 2047], "i2", precision=12, signed=True, lossless=lossless)
        assert found == ([0, 5, 9, 2047], 12, note)


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        ("u2", [0, 255, 256, 300], [0, 255, 255, 255]),
        ("i2", [-129, -128, 127, 128], [-128, -128, 127, 127]),
    ],
)
def test_lossy_values_beyond_the_stored_bits_are_clipped(dtype: str, values: list[int], expected: list[int]) -> None:
    """A stream of 12 bits, of which the header says 8: errors of the compression are no overlay."""
    signed = dtype == "i2"
    found = decoded(values, dtype, precision=12, signed=signed, header_signed=signed, lossless=False,
                    bits_stored=8, high_bit=7)  # fmt: skip
    assert found == (expected, 8, "")


def test_lossy_values_at_the_high_bit_are_shifted() -> None:
    """HighBit 15 of a stream of 16 bits; one of 13 bits cannot hold 12 bits up to bit 15."""
    assert decoded([16, 65535], lossless=False, high_bit=15) == ([1, 4095], 12, "")
    assert decoded([16, 5000], precision=13, lossless=False, high_bit=15) == ([16, 4095], 12, "")


def test_a_lossy_sign_is_extended_from_the_bits_of_the_stream() -> None:
    """13 bits in words of 16 whose high bits are zero: 0x1FFF is -1, and 0x1000 is -4096, clipped to 12 bits."""
    found = decoded([0x1FFF, 0x1000, 5, 2047], precision=13, header_signed=True, lossless=False)
    assert found == ([-1, -2048, 5, 2047], 12, "")
    found = decoded([0x7FFF, 0x4000, 5, 2047], precision=15, header_signed=True, lossless=False)
    assert found == ([-1, -2048, 5, 2047], 12, "")


def test_signed_words_at_the_high_bit_are_shifted_with_their_sign() -> None:
    """HighBit 13 of a lossless stream of 16 bits: two bits above are no part of the values, and two below."""
    assert decoded([0x2000, 0x1FFF, 0xFFFF, 0xC004], header_signed=True, high_bit=13) == ([-2048, 2047, -1, 1], 12, "")


def test_a_stream_that_ends_below_the_high_bit_holds_values() -> None:
    """HighBit 13 of a stream of 13 bits, which are bits 0 to 12."""
    assert decoded([8, 4095], precision=13, high_bit=13) == ([8, 4095], 12, "")
    assert decoded([8, 4095 << 1], precision=13, high_bit=12) == ([4, 4095], 12, "")


def test_a_stream_of_fewer_bits_than_words_is_not_doubted() -> None:
    """13 bits that hold an overlay above 12: only whole words are compared with their low bits."""
    assert decoded([4000, 4090, 4100, 4110], precision=13) == ([4000, 4090, 4, 14], 12, "")
    assert decoded([4000, 4090, 4100, 4110], precision=16) == (
        [4000, 4090, 4100, 4110], 13, "The pixel values have 13 bits, but BitsStored (0028,0101) is 12.",
    )  # fmt: skip
