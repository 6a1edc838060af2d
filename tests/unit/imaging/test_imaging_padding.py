"""The padding of a frame, and windows that do not fit its values, at each boundary."""

import struct
from typing import Any

import numpy as np
import pytest
from explicit_elements import data_set, element, numbers
from layouts import grey_words

from imaging.grayscale import Grayscale, read_grayscales, without_unfit_voi
from imaging.remarks import Remarks
from imaging.stored_bits import StoredValues
from imaging.tags import DOUBLE_FLOAT_PIXEL_DATA, FLOAT_PIXEL_DATA
from imaging.voi import Lut, Ramp
from nightread.errors import RejectImage
from nightread.reasons import Reason

PADDING, PADDING_LIMIT = 0x00280120, 0x00280121


def padding_of(*elements: bytes, little: bool = True, **layout: Any) -> tuple[float, float] | None:
    """Return the padding range of a header with these elements."""
    return next(read_grayscales(data_set(*elements, little=little), grey_words(**layout), Remarks())).padding


@pytest.mark.parametrize(
    ("elements", "layout", "expected"),
    [
        ((), {}, None),
        ((element(PADDING, "US"),), {}, None),
        ((numbers(PADDING, 5),), {}, (5, 5)),
        ((numbers(PADDING_LIMIT, 5),), {}, (5, 5)),
        ((numbers(PADDING, 5), numbers(PADDING_LIMIT, 9)), {}, (5, 9)),
        ((numbers(PADDING, 9), numbers(PADDING_LIMIT, 5)), {}, (5, 9)),
        ((numbers(PADDING, 5, 7),), {}, (5, 5)),
        ((numbers(PADDING, 63536),), {}, (63536, 63536)),
        ((numbers(PADDING, 63536),), {"signed": True}, (-2000, -2000)),
        ((numbers(PADDING, -2000, vr="SS"),), {}, (63536, 63536)),
        ((numbers(PADDING, 63536),), {"bits_stored": 12, "high_bit": 11}, (2096, 2096)),
        ((numbers(PADDING, 0x0FFF),), {"bits_stored": 12, "high_bit": 11, "signed": True}, (-1, -1)),
        ((numbers(PADDING, 0x0FF0),), {"bits_stored": 12, "high_bit": 15}, (255, 255)),
        ((numbers(PADDING, 255),), {"bits_allocated": 8, "bits_stored": 8, "high_bit": 7}, (255, 255)),
        (
            (numbers(PADDING, 63536),),
            {"bits_allocated": 32, "bits_stored": 20, "high_bit": 19, "signed": True},
            (-2000, -2000),
        ),
        ((numbers(PADDING, 300),), {"bits_allocated": 32, "bits_stored": 20, "high_bit": 19}, (300, 300)),
        ((numbers(PADDING, 5, 7),), {"bits_allocated": 32, "bits_stored": 20, "high_bit": 19}, (5, 5)),
        (
            (element(PADDING, "UL", struct.pack("<I", 70_000)),),
            {"bits_allocated": 32, "bits_stored": 20, "high_bit": 19},
            (70_000,) * 2,
        ),
    ],
)
def test_the_padding_of_integers(
    elements: tuple[bytes, ...], layout: dict[str, Any], expected: tuple[float, float] | None
) -> None:
    """It is read by PixelRepresentation, in either order, and masked as 16-bit pixels are."""
    assert padding_of(*elements, **layout) == expected


def test_the_padding_of_big_endian_files() -> None:
    """It has the byte order of the file."""
    assert padding_of(numbers(PADDING, 258, little=False), little=False) == (258, 258)


@pytest.mark.parametrize(
    ("tag", "code", "vr", "value", "limit"),
    [
        (FLOAT_PIXEL_DATA, "f", "FL", 0x00280122, 0x00280124),
        (DOUBLE_FLOAT_PIXEL_DATA, "d", "FD", 0x00280123, 0x00280125),
    ],
)
def test_the_padding_of_floats(tag: int, code: str, vr: str, value: int, limit: int) -> None:
    """Elements of their own; that of integers is none of theirs (PS3.3 C.7.6.24, C.7.6.25)."""
    low, high = (element(each, vr, struct.pack(f"<{code}", n)) for each, n in ((value, -1.5), (limit, 2.5)))
    turned = element(value, vr, struct.pack(f"<2{code}", 2.5, 9)), element(limit, vr, struct.pack(f"<{code}", -1.5))
    assert padding_of(low, high, pixel_tag=tag) == (-1.5, 2.5)
    assert padding_of(*turned, pixel_tag=tag) == (-1.5, 2.5)
    assert padding_of(low, pixel_tag=tag) == (-1.5, -1.5)
    assert padding_of(high, pixel_tag=tag) == (2.5, 2.5)
    assert padding_of(numbers(PADDING, 5), pixel_tag=tag) is None


@pytest.mark.parametrize(("tag", "pixel_tag", "size"), [(PADDING, None, 1), (0x00280122, FLOAT_PIXEL_DATA, 3)])
def test_a_padding_that_is_shorter_than_a_number(tag: int, pixel_tag: int | None, size: int) -> None:
    """The length is odd, and the file ends behind it."""
    layout: dict[str, Any] = {} if pixel_tag is None else {"pixel_tag": pixel_tag}
    with pytest.raises(RejectImage) as refusal:
        padding_of(element(tag, "UN", length=size), b"\x01" * size, **layout)
    assert refusal.value.reason is Reason.BAD_HEADER
    assert refusal.value.detail.endswith(" is shorter than a number.")


@pytest.mark.parametrize(
    ("dtype", "ramp", "rescaled", "fits"),
    [
        ("u2", (0, 510), (1, 0), True),
        ("u2", (0, 511), (1, 0), False),
        ("u2", (-255, 255), (1, 0), True),
        ("u2", (-256, 255), (1, 0), False),
        ("u2", (100, 200), (1, 0), True),
        ("u2", (300, 400), (1, 0), False),
        ("u2", (-10, -5), (1, 0), False),
        ("u2", (-100, 900), (1, 0), False),
        ("i2", (-128, 382), (1, 0), True),
        ("i2", (-128, 383), (1, 0), False),
        ("i2", (-383, 127), (1, 0), True),
        ("i2", (-384, 127), (1, 0), False),
        ("u2", (-510, 0), (-1, 0), True),
        ("u2", (-511, 0), (-1, 0), False),
        ("u2", (1000, 2020), (2, 1000), True),
        ("u2", (1000, 2021), (2, 1000), False),
        ("u2", (490, 1000), (2, 490), True),
    ],
)
def test_a_window_that_the_values_reach_by_less_than_half(
    dtype: str, ramp: tuple[float, float], rescaled: tuple[float, float], fits: bool
) -> None:
    """8 bits reach from 0 to 255, or from -128 to 127: a window of which they reach half is kept."""
    voi = Ramp(low=ramp[0], high=ramp[1])
    before = Grayscale(slope=rescaled[0], intercept=rescaled[1], voi=voi, voi_note="A note.", padding=(1, 2))
    stored = StoredValues(np.zeros((2, 2), dtype), 8)

    after = without_unfit_voi(before, stored)

    fault = "The window or VOI LUT of the header does not fit pixels of 8 bits."
    without = Grayscale(slope=rescaled[0], intercept=rescaled[1], voi_fault=fault, padding=(1, 2))
    assert after == (before if fits else without)


def test_without_a_window_nothing_can_be_unfit() -> None:
    """The range of a modality lookup table does not depend on the bits."""
    stored = StoredValues(np.zeros((2, 2), np.uint16), 8)
    with_table = Grayscale(voi=Ramp(low=0, high=9000), modality_lut=Lut(first=0, bits=8, entries=b"\x01\x00"))
    assert without_unfit_voi(Grayscale(), stored) == Grayscale()
    assert without_unfit_voi(with_table, stored) is with_table
