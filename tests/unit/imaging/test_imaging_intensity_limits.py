"""Display values and the ends of ramps, at each boundary; all expected values by hand."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.grayscale import Grayscale
from imaging.intensity import display, display_values, full_range, mapping_for, modality_values, padding_mask
from imaging.remarks import Remark
from imaging.spec import Intensity
from imaging.voi import Lut, Ramp, Sigmoid
from nightread.errors import RejectImage
from nightread.reasons import Reason

ENTRIES = np.array([200, 100, 50, 0], "<u2").tobytes()
FALLING = Lut(first=0, bits=8, entries=ENTRIES)
NOTED = Lut(first=0, bits=8, entries=ENTRIES, note="The table is short.")
VOI = Ramp(low=3, high=9)


def frame_of(values: Any, dtype: str = "u2", bits: int = 16, **grayscale: Any) -> Frame:
    """Return a frame of one row with these stored values."""
    return Frame(index=0, stored=np.array([values], dtype), bits_stored=bits, grayscale=Grayscale(**grayscale))


def ramp_of(frame: Frame, kind: str, low: float | None = None, high: float | None = None) -> tuple[float, float]:
    """Return the ends of the ramp of an intensity."""
    ramp = mapping_for(frame, Intensity(kind=kind, low=low, high=high))
    assert isinstance(ramp, Ramp)
    return ramp.low, ramp.high


def test_display_values_are_rescaled_mapped_and_inverted() -> None:
    """The ramp from 0 to 100 has modality values of 0, 20, 50 and 100; 20 is padding, and stays black."""
    frame = frame_of([5, 15, 30, 55], "f4", slope=2, intercept=-10, padding=(15, 15))
    ramp = Ramp(low=0, high=100)

    assert_array_equal(display_values(frame, ramp), np.array([[0, 0, 0.5, 1]], np.float32))
    inverted = display(frame.stored, frame.grayscale, ramp, inverted=True)
    assert_array_equal(inverted, np.array([[1, 0, 0.5, 0]], np.float32))
    assert_array_equal(display_values(Frame(**{**parts(frame), "inverted": True}), ramp), inverted)


def parts(frame: Frame) -> dict[str, Any]:
    """Return the fields of a frame."""
    return {name: getattr(frame, name) for name in ("index", "stored", "bits_stored", "grayscale", "inverted")}


@pytest.mark.parametrize("inverted", [False, True])
def test_nan_is_black(inverted: bool) -> None:
    """It is no value that could be bright."""
    stored = np.array([np.nan, 1], np.float32)
    shown = display(stored, Grayscale(), Ramp(low=0, high=2), inverted=inverted)
    assert shown.tolist() == [0, 0.5]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        *(("u1", "f4"), ("i1", "f4"), ("u2", "f4"), ("i2", "f4"), ("f4", "f4")),
        *(("u4", "f8"), ("i4", "f8"), ("f8", "f8")),
    ],
)
def test_the_type_of_modality_values(dtype: str, expected: str) -> None:
    """float32 holds 24 bits, so that 32-bit integers and doubles need float64."""
    stored = np.array([3], dtype)
    for grayscale in (Grayscale(), Grayscale(slope=2), Grayscale(intercept=2), Grayscale(slope=2, intercept=2)):
        assert modality_values(stored, grayscale).dtype == np.dtype(expected)


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"), [(1, 0, [3, 5]), (2, 0, [6, 10]), (1, -4, [-1, 1]), (0.5, 1, [2.5, 3.5])]
)
def test_modality_values(slope: float, intercept: float, expected: list[float]) -> None:
    """Slope first, then intercept (PS3.3 C.11.1.1.2); a table takes the place of both."""
    stored = np.array([3, 5], np.uint16)
    assert modality_values(stored, Grayscale(slope=slope, intercept=intercept)).tolist() == expected
    with_table = Grayscale(slope=slope, intercept=intercept, modality_lut=FALLING)
    assert modality_values(stored, with_table).tolist() == [0, 0]
    assert modality_values(np.array([0, 1], np.uint16), with_table).dtype == np.float64


def test_both_ends_of_the_padding_are_padding() -> None:
    """4 to 6; without a range there is no mask."""
    mask = padding_mask(np.array([3, 4, 5, 6, 7]), Grayscale(padding=(4, 6)))
    assert mask is not None
    assert mask.tolist() == [False, True, True, True, False]
    assert padding_mask(np.array([0]), Grayscale()) is None


def test_each_kind_of_intensity() -> None:
    """A window of 0 has an end at 0; only `voi` uses the VOI of the header."""
    frame = frame_of([10, 20, 30], bits=8, voi=VOI)

    assert mapping_for(frame, Intensity(kind="window", low=0, high=10)) == Ramp(low=0, high=10)
    assert mapping_for(frame, Intensity(kind="window", low=-5, high=0)) == Ramp(low=-5, high=0)
    assert mapping_for(frame, Intensity(kind="percentile", low=0, high=50)) == Ramp(low=10, high=20)
    assert mapping_for(frame, Intensity(kind="full")) == Ramp(low=0, high=255)
    assert mapping_for(frame, Intensity(kind="voi")) == VOI
    assert mapping_for(frame_of([1], bits=8), Intensity(kind="voi")) == Ramp(low=0, high=255)
    assert not frame.remarks


@pytest.mark.parametrize(
    ("grayscale", "kind", "expected"),
    [
        ({"modality_lut": NOTED}, "full", [(Remark.PARTLY_USED, "The table is short.")]),
        ({"modality_lut": FALLING}, "full", []),
        ({"voi": VOI, "voi_note": "Odd."}, "voi", [(Remark.PARTLY_USED, "Odd.")]),
        ({"voi": VOI, "voi_note": "Odd."}, "full", []),
        ({"voi_fault": "Bad."}, "voi", [(Remark.VOI_NOT_USED, "Bad. The full range was used.")]),
        ({"voi_fault": "Bad."}, "full", []),
        ({"voi": VOI, "voi_fault": "Bad."}, "voi", [(Remark.VOI_NOT_USED, "Bad. The window of the header was used.")]),
    ],
)
def test_what_a_row_says_of_its_window(grayscale: dict[str, Any], kind: str, expected: list[Any]) -> None:
    """The modality table concerns every network, and the VOI only those that use it."""
    frame = frame_of([1, 2], **grayscale)
    mapping_for(frame, Intensity(kind=kind))
    assert list(frame.remarks) == expected


def test_a_bundle_may_refuse_an_unusable_window() -> None:
    """If there is another window beside the unusable table, that is used."""
    refuse = Intensity(kind="voi", unusable="refuse")
    with pytest.raises(RejectImage) as refusal:
        mapping_for(frame_of([1], voi_fault="Bad."), refuse)
    assert (refusal.value.reason, refusal.value.detail) == (Reason.VOI_UNUSABLE, "Bad.")
    assert mapping_for(frame_of([1], voi_fault="Bad.", voi=VOI), refuse) == VOI
    sigmoid = Sigmoid(center=1, width=2)
    assert mapping_for(frame_of([1], voi=sigmoid), refuse) == sigmoid


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (frame_of([7], bits=1), (0, 1)),
        (frame_of([7], bits=10, slope=-2, intercept=5), (-2041, 5)),
        (frame_of([7], "i2", 10), (-512, 511)),
        (frame_of([7], "i2", 1), (-1, 0)),
        (frame_of([7], "i2", 10, slope=-1, intercept=1), (-510, 513)),
        (frame_of([7, -3, np.inf], "f4"), (-3, 7)),
        (frame_of([7, -3, 9], "f8", slope=-1, intercept=1, padding=(9, 9)), (-6, 4)),
        (frame_of([np.nan], "f4", intercept=4), (4, 4)),
        (frame_of([7], modality_lut=Lut(first=0, bits=10, entries=ENTRIES), slope=3), (0, 1023)),
    ],
)
def test_the_full_range(frame: Frame, expected: tuple[float, float]) -> None:
    """That of the bits, of the pixels if these are floats, or of a table; rescaled and in rising order."""
    assert full_range(frame) == Ramp(low=expected[0], high=expected[1])


TEN: list[float] = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
"""Eleven values: each tenth of them is 10 more, and percentiles between two are interpolated."""


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "u4", "i4", "f4", "f8"])
@pytest.mark.parametrize(("low", "high"), [(0, 100), (10, 90), (25, 77), (1, 99), (50, 50.5)])
def test_percentiles_of_every_type(dtype: str, low: float, high: float) -> None:
    """The percentile of eleven equal steps is its own number; 8- and 16-bit integers are counted, others sorted."""
    frame = frame_of([TEN[7], *TEN[:7], *TEN[8:]], dtype)
    assert ramp_of(frame, "percentile", low, high) == pytest.approx((low, high))
    down = frame_of(TEN, dtype, slope=-2, intercept=5)
    assert ramp_of(down, "percentile", low, high) == pytest.approx((2 * low - 195, 2 * high - 195))


@pytest.mark.parametrize("dtype", ["i1", "i2"])
def test_percentiles_of_negative_values(dtype: str) -> None:
    """Five values from -100 to 100; a quarter of the steps is one value."""
    frame = frame_of([-100, -50, 0, 50, 100], dtype)
    assert ramp_of(frame, "percentile", 25, 75) == pytest.approx((-50, 50))
    assert ramp_of(frame, "percentile", 10, 60) == pytest.approx((-80, 20))


def test_values_that_occur_often_count_often() -> None:
    """Of nine values six are 4: the quarters are at the third and the seventh."""
    frame = frame_of([4, 4, 1, 4, 4, 9, 4, 4, 2])
    assert ramp_of(frame, "percentile", 25, 75) == (4, 4)
    assert ramp_of(frame, "percentile", 12.5, 100) == (2, 9)
    assert ramp_of(frame, "percentile", 0, 6.25) == (1, 1.5)


def test_percentiles_of_a_table_are_those_of_its_outputs() -> None:
    """200, 100, 50 and 0: a third of the steps is one of them. The rescale beside the table is none."""
    frame = frame_of([0, 1, 2, 3], modality_lut=FALLING, slope=-1, intercept=7)
    assert ramp_of(frame, "percentile", 0, 100) == (0, 200)
    assert ramp_of(frame, "percentile", 100 / 3, 200 / 3) == pytest.approx((50, 100))
    padded = frame_of([0, 1, 2, 3], modality_lut=FALLING, padding=(3, 3))
    assert ramp_of(padded, "percentile", 0, 100) == (50, 200)


@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_a_frame_without_valid_pixels(dtype: str) -> None:
    """All are padding."""
    empty: Array = np.zeros((1, 3), dtype)
    frame = Frame(index=0, stored=empty, bits_stored=16, grayscale=Grayscale(padding=(0, 0)))
    assert ramp_of(frame, "percentile", 10, 90) == (0, 1)
