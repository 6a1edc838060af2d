"""Values of pixels by hand: one case for each condition on the way from stored values to the network input."""

from typing import Any

import numpy as np
import pytest
from dicom_files import MakeDicom

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.grayscale import Grayscale
from imaging.intensity import display_values, mapping_for, modality_values, padding_mask
from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec, Intensity
from imaging.voi import Lut, Ramp, Sigmoid

INVERTING = Lut(first=0, bits=8, entries=np.array([200, 100, 50, 0], "<u2").tobytes())


def frame_of(values: Array, bits: int = 16, *, inverted: bool = False, **grayscale: Any) -> Frame:
    """Return a frame with these stored values."""
    return Frame(index=0, stored=values, bits_stored=bits, grayscale=Grayscale(**grayscale), inverted=inverted)


def spec_of(values: Array, kind: str, low: float | None = None, high: float | None = None, **options: Any) -> InputSpec:
    """Return the spec of an input as large as the frame."""
    size = {"height": values.shape[0], "width": values.shape[1], **options}
    return InputSpec(channels=1, intensity=Intensity(kind=kind, low=low, high=high), **size)


def ends(frame: Frame, kind: str, low: float | None = None, high: float | None = None) -> tuple[float, float]:
    """Return the ends of the ramp that an intensity mapping chooses."""
    ramp = mapping_for(frame, Intensity(kind=kind, low=low, high=high))
    assert isinstance(ramp, Ramp)
    return ramp.low, ramp.high


@pytest.mark.parametrize(("low", "high", "expected"), [(0, 100, (10, 50)), (25, 75, (20, 40)), (10, 90, (14, 46))])
def test_padding_does_not_count_in_percentiles(low: float, high: float, expected: tuple[float, float]) -> None:
    """The valid pixels are 10 to 50; six of eleven are padding of 0, which would move every percentile."""
    stored = np.array([[0, 0, 0, 10, 20, 30, 40, 50, 0, 0, 0]], np.uint16)

    assert ends(frame_of(stored, padding=(0, 0)), "percentile", low, high) == pytest.approx(expected)


def test_nan_and_infinity_do_not_count_in_percentiles() -> None:
    """Of five valid floats, a quarter lies below 2."""
    stored = np.array([[np.nan, 1, 2, np.inf, 3, 4, 5, -np.inf]], np.float32)

    assert ends(frame_of(stored), "percentile", 25, 75) == pytest.approx((2, 4))


def test_padding_of_floats_does_not_count_either() -> None:
    """Both masks apply."""
    stored = np.array([[np.nan, -9, 1, 2, 3, 4, 5]], np.float32)

    assert ends(frame_of(stored, padding=(-9, -9)), "percentile", 25, 75) == pytest.approx((2, 4))


def test_a_frame_of_padding_has_no_percentiles() -> None:
    """It becomes black."""
    stored = np.zeros((2, 2), np.uint16)
    frame = frame_of(stored, padding=(0, 0))

    assert ends(frame, "percentile", 1, 99) == (0, 1)
    assert not prepare(frame, spec_of(stored, "percentile", 1, 99)).any()


def test_percentiles_are_of_modality_values() -> None:
    """A slope of -1 turns 10 to 50 into -50 to -10: a quarter lies below -40."""
    stored = np.array([[10, 20, 30, 40, 50]], np.uint16)

    assert ends(frame_of(stored, slope=-1), "percentile", 25, 75) == pytest.approx((-40, -20))
    assert ends(frame_of(stored, slope=-1, intercept=100), "percentile", 0, 75) == pytest.approx((50, 80))
    assert ends(frame_of(stored % 4, modality_lut=INVERTING), "percentile", 0, 100) == (50, 200)


@pytest.mark.parametrize(
    ("dtype", "bits", "slope", "intercept", "expected"),
    [
        ("u1", 8, 1, 0, (0, 255)),
        ("u2", 12, 1, 0, (0, 4095)),
        ("i2", 12, 1, 0, (-2048, 2047)),
        ("i2", 16, 1, 0, (-32768, 32767)),
        ("u2", 12, 2, -1024, (-1024, 7166)),
        ("u2", 12, -1, 100, (-3995, 100)),
        ("u4", 32, 1, 0, (0, 4294967295)),
    ],
)
def test_the_full_range_of_the_stored_bits(
    dtype: str, bits: int, slope: float, intercept: float, expected: tuple[float, float]
) -> None:
    """The range of BitsStored bits after the rescale, in rising order."""
    assert ends(frame_of(np.zeros((2, 2), dtype), bits, slope=slope, intercept=intercept), "full") == expected


def test_the_full_range_of_floats_is_that_of_the_valid_pixels() -> None:
    """Floats have no bits that limit them."""
    stored = np.array([[np.nan, -1.5, 4.5, np.inf]], np.float32)

    assert ends(frame_of(stored, 32, slope=2, intercept=1), "full") == (-2, 10)
    assert ends(frame_of(stored * np.nan, 32), "full") == (0, 0)


@pytest.mark.parametrize(("name", "dtype"), [("Float", "f4"), ("DoubleFloat", "f8")])
def test_padding_of_float_pixels(make_dicom: MakeDicom, name: str, dtype: str) -> None:
    """Float pixels have padding elements of their own (PS3.3 C.7.6.24 and C.7.6.25)."""
    values = np.array([[-1e30, -2e30, 1.5]], dtype)
    padding = {f"{name}PixelPaddingValue": -1e30, f"{name}PixelPaddingRangeLimit": -2e30, "PixelPaddingValue": 1}
    data = make_dicom(
        values, PixelData=None, BitsStored=None, HighBit=None, **{f"{name}PixelData": values.tobytes(), **padding}
    )

    (frame,) = read(data).frames()

    assert padding_mask(frame.stored, frame.grayscale).tolist() == [[True, True, False]]  # type: ignore[union-attr]


def test_padding_does_not_count_in_the_full_range_of_floats() -> None:
    """A value far outside marks the pixels that are none."""
    stored = np.array([[-1e30, -1.5, 4.5]], np.float32)

    assert ends(frame_of(stored, 32, padding=(-1e30, -1e30)), "full") == (-1.5, 4.5)


def test_32_bit_integers_keep_their_last_bit() -> None:
    """float32 has 24 bits: 16,777,217 would become 16,777,216."""
    stored = np.array([[16_777_217]], np.uint32)

    assert modality_values(stored, Grayscale()).tolist() == [[16_777_217.0]]
    assert modality_values(stored.astype(np.uint16), Grayscale()).dtype == np.float32
    assert modality_values(stored.astype(np.float32), Grayscale()).dtype == np.float32


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "f4"])
@pytest.mark.parametrize("inverted", [False, True])
def test_values_outside_of_the_window_are_black_or_white(dtype: str, inverted: bool) -> None:
    """Window 50 to 100: 0 and 50 are black, 75 is half, 100 and 120 are white; MONOCHROME1 is the reverse."""
    stored = np.array([[0, 50, 75, 100, 120]], dtype)
    frame = frame_of(stored, 8, inverted=inverted)
    expected = [1, 1, 0.5, 0, 0] if inverted else [0, 0, 0.5, 1, 1]

    assert prepare(frame, spec_of(stored, "window", 50, 100)).reshape(-1).tolist() == pytest.approx(expected)
    assert display_values(frame, Ramp(low=50, high=100)).reshape(-1).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("dtype", ["u2", "i2"])
def test_values_outside_of_a_wide_window_are_black_or_white(dtype: str) -> None:
    """Wide windows are clipped as integers: 1,000 to 5,000."""
    stored = np.array([[0, 1000, 3000, 5000, 30000]], dtype)

    prepared = prepare(frame_of(stored), spec_of(stored, "window", 1000, 5000))

    assert prepared.reshape(-1).tolist() == pytest.approx([0, 0, 0.5, 1, 1])


def test_a_lookup_table_is_the_voi_of_values_outside_of_it() -> None:
    """The first and the last entry apply there; half-way values take the nearest entry, ties the even one."""
    voi = Lut(first=10, bits=8, entries=np.array([51, 102, 255], "<u2").tobytes())
    stored = np.array([[0, 9, 10, 11, 12, 13, 200]], np.uint8)

    prepared = prepare(frame_of(stored, 8, voi=voi), spec_of(stored, "voi"))

    assert prepared.reshape(-1).tolist() == pytest.approx([0.2, 0.2, 0.2, 0.4, 1, 1, 1])


def test_a_sigmoid_far_from_its_center_is_black_or_white() -> None:
    """The exponent is limited, so nothing overflows."""
    stored = np.array([[0, 1000, 60000]], np.uint16)

    prepared = prepare(frame_of(stored, voi=Sigmoid(center=1000, width=1)), spec_of(stored, "voi"))

    assert prepared.reshape(-1).tolist() == pytest.approx([0, 0.5, 1])


def test_cubic_interpolation_overshoots_below_black() -> None:
    """OpenCV's kernel (a = -0.75) gives -27/256 before a step from black to white; integers would be cut at black."""
    stored = np.array([[0, 0, 4095, 4095]] * 4, np.uint16)
    spec = spec_of(stored, "full", width=8, interpolation="cubic")

    row = prepare(frame_of(stored, 12), spec)[1, :, 0].tolist()

    assert row[2] == pytest.approx(-27 / 256, abs=1e-5)
    assert row[5] == pytest.approx(1 + 27 / 256, abs=1e-5)


@pytest.mark.parametrize("interpolation", ["area", "linear"])
def test_linear_interpolation_where_one_axis_grows(interpolation: str) -> None:
    """Nine columns become three and two rows four: `area` averages nothing then, but takes the middle of each three."""
    stored = np.array([[0, 255, 0, 0, 51, 0, 0, 102, 0], [0] * 9], np.uint8)

    prepared = prepare(frame_of(stored, 8), spec_of(stored, "full", height=4, width=3, interpolation=interpolation))

    assert np.allclose(prepared[..., 0], np.outer([1, 0.75, 0.25, 0], [1, 0.2, 0.4]), atol=1e-2)
    turned = prepare(
        frame_of(stored.T.copy(), 8), spec_of(stored, "full", height=3, width=4, interpolation=interpolation)
    )
    assert np.allclose(turned[..., 0], prepared[..., 0].T, atol=1e-2)


def test_area_interpolation_averages_where_both_axes_shrink() -> None:
    """Four columns and two rows become two and one: each result is the mean of four pixels."""
    stored = np.array([[0, 40, 0, 0], [80, 80, 0, 51]], np.uint8)

    prepared = prepare(frame_of(stored, 8), spec_of(stored, "full", height=1, width=2))

    assert prepared.reshape(-1).tolist() == pytest.approx([50 / 255, 12.75 / 255])


def test_padding_is_black_in_every_way_of_preparing() -> None:
    """Padding of 200 within the window: small frames, tables of large frames, and floats."""
    for dtype, size in (("u1", 4), ("u1", 300), ("u2", 4), ("f4", 4)):
        stored = np.full((size, size), 200, dtype)
        stored[0, 0] = 100
        frame = frame_of(stored, 8, padding=(200, 255))
        prepared = prepare(frame, spec_of(stored, "window", 0, 200))
        assert (prepared[0, 0, 0], prepared.sum()) == (0.5, 0.5), (dtype, size)
