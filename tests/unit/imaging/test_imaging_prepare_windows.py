"""Windows at which the fast arithmetic of `prepare` would give other values, or none, if it were used."""

from typing import Any

import numpy as np
import pytest

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.grayscale import Grayscale
from imaging.prepare import _clipping, prepare
from imaging.spec import InputSpec, Intensity
from imaging.voi import Lut, Mapping, Ramp, Sigmoid

VOI = Intensity(kind="voi")


def prepared(stored: Array, mapping: Mapping, *, inverted: bool = False, **grayscale: Any) -> list[float]:
    """Return the input for a row of stored values, which are mapped by a window of the header."""
    frame = Frame(
        index=0,
        stored=stored,
        bits_stored=stored.dtype.itemsize * 8,
        grayscale=Grayscale(voi=mapping, **grayscale),
        inverted=inverted,
    )
    spec = InputSpec(height=stored.shape[0], width=stored.shape[1], channels=1, intensity=VOI)
    values: list[float] = prepare(frame, spec).reshape(-1).tolist()
    return values


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2"])
def test_a_window_without_width_is_a_step(dtype: str) -> None:
    """Also at zero: its values are 0, and 1 above."""
    stored = np.array([[0, 1, 2]], dtype)
    assert prepared(stored, Ramp(low=0, high=0)) == [0, 1, 1]
    assert prepared(stored, Ramp(low=1, high=1)) == [0, 0, 1]
    assert prepared(stored, Ramp(low=1, high=1), inverted=True) == [1, 1, 0]


def test_a_narrow_window_far_from_zero_is_exact() -> None:
    """The modality value of 60,000 is 0, and 0.003 of 0.007 are below it; as a float32, 59,999.997 is 59,999.996."""
    stored = np.array([[59_999, 60_000, 60_001]], np.uint16)
    values = prepared(stored, Ramp(low=-0.003, high=0.004), intercept=-60_000)
    assert values == pytest.approx([0, 3 / 7, 1], abs=1e-3)


def test_a_mean_of_pixels_is_not_rounded_in_a_narrow_window() -> None:
    """60,000.5 lies at a twentieth of a window of ten values; a whole number would be 0 or 0.1."""
    spec = InputSpec(height=1, width=1, channels=1, intensity=Intensity(kind="window", low=60_000, high=60_010))
    frame = Frame(index=0, stored=np.array([[60_000, 60_001]], np.uint16), bits_stored=16)
    assert prepare(frame, spec).reshape(-1).tolist() == pytest.approx([0.05], abs=1e-3)


def test_a_window_beside_all_values_is_black_or_white() -> None:
    """Its ends are no 16-bit numbers."""
    for dtype in ("u2", "i2"):
        stored = np.array([[0, 1, 30_000]], dtype)
        assert prepared(stored, Ramp(low=70_000, high=80_000)) == [0, 0, 0]
        assert prepared(stored, Ramp(low=-80_000, high=-70_000)) == [1, 1, 1]
        assert prepared(stored, Ramp(low=70_000, high=80_000), inverted=True) == [1, 1, 1]


def test_a_window_around_all_values_spreads_them() -> None:
    """From -100,000 to 100,000."""
    around = Ramp(low=-100_000, high=100_000)
    assert prepared(np.array([[0, 20_000]], np.uint16), around) == pytest.approx([0.5, 0.6], abs=1e-6)
    assert prepared(np.array([[-20_000, 0]], np.int16), around) == pytest.approx([0.4, 0.5], abs=1e-6)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i1", "i2", "u4", "i4"])
def test_values_of_every_type_are_clipped_at_both_ends(dtype: str) -> None:
    """A window from 20 to 60: five values, and the same inverted."""
    stored = np.array([[0, 20, 30, 60, 100]], dtype)
    assert prepared(stored, Ramp(low=20, high=60)) == pytest.approx([0, 0, 0.25, 1, 1], abs=1e-6)
    assert prepared(stored, Ramp(low=20, high=60), inverted=True) == pytest.approx([1, 1, 0.75, 0, 0], abs=1e-6)


def test_a_negative_slope_turns_the_window() -> None:
    """The modality values are 100, 70 and 40."""
    stored = np.array([[0, 15, 30]], np.uint8)
    assert prepared(stored, Ramp(low=40, high=100), slope=-2, intercept=100) == pytest.approx([1, 0.5, 0], abs=1e-6)


def test_a_curve_is_not_taken_for_a_line() -> None:
    """SIGMOID at its center, and a quarter of its width above."""
    stored = np.array([[100, 150]], np.uint8)
    assert prepared(stored, Sigmoid(center=100, width=200)) == pytest.approx([0.5, 1 / (1 + np.exp(-1))], abs=1e-6)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_a_large_picture_is_mapped_like_a_small_one(dtype: str) -> None:
    """With 65,536 pixels and more each value is looked up: 0 and 200 of a step at 100."""
    stored = np.zeros((300, 300), dtype)
    stored[:, 150:] = 200
    values = np.array(prepared(stored, Ramp(low=100, high=100))).reshape(300, 300)
    assert (values[:, :150] == 0).all()
    assert (values[:, 150:] == 1).all()


def test_the_overshoot_of_cubic_interpolation_is_kept() -> None:
    """Words of 16 bits cannot hold -5,625, which is -3/32 of 60,000."""
    spec = InputSpec(height=1, width=1, channels=1, intensity=Intensity(kind="full"), interpolation="cubic")
    frame = Frame(index=0, stored=np.array([[0, 0, 0, 60_000]], np.uint16), bits_stored=16)
    assert prepare(frame, spec).reshape(-1).tolist() == pytest.approx([-5_625 / 65_535], abs=1e-6)


def test_no_lookup_table_is_kept_for_a_window() -> None:
    """A night has thousands of tables of 128 KiB in headers; a fixed window is the same for all of them."""
    _clipping.cache_clear()
    spec = InputSpec(height=1, width=2, channels=1, intensity=Intensity(kind="window", low=0, high=100))
    for entry in range(3):
        table = Lut(first=0, bits=8, entries=bytes([entry]) * 8)
        grayscales = Grayscale(voi=table), Grayscale(voi=table, modality_lut=table)
        for grayscale in grayscales:
            prepare(Frame(index=0, stored=np.array([[0, 3]], np.uint16), bits_stored=16, grayscale=grayscale), spec)
    assert _clipping.cache_info().currsize == 1
