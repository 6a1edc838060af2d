"""Fast paths of `prepare` are compared with the reference, and the reference with values computed by hand."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.grayscale import Grayscale
from imaging.intensity import display_values, mapping_for
from imaging.prepare import prepare
from imaging.spec import InputSpec, Intensity
from imaging.voi import Lut, Mapping, Ramp, Sigmoid, window

VOI_LUT = Lut(first=-500, bits=12, entries=(np.linspace(0, 1, 3000) ** 2 * 4095).astype("<u2").tobytes())
MODALITY_LUT = Lut(first=0, bits=16, entries=np.linspace(60000, 10, 4000).astype("<u2").tobytes())
INTENSITIES = [
    Intensity(kind="voi"),
    Intensity(kind="full"),
    Intensity(kind="window", low=-100.5, high=3000.25),
    Intensity(kind="window", low=10, high=40),
    Intensity(kind="percentile", low=2, high=98),
]
GRAYSCALES = [
    Grayscale(),
    Grayscale(slope=1.5, intercept=-1024),
    Grayscale(slope=-2, intercept=4000),
    Grayscale(padding=(0, 700)),
    Grayscale(slope=0.25, voi=Sigmoid(center=300, width=200)),
    Grayscale(intercept=-200, voi=VOI_LUT),
    Grayscale(modality_lut=MODALITY_LUT),
    Grayscale(voi=window(40, 400, None)),
    Grayscale(voi=window(40, 1, "LINEAR"), padding=(-2000, -2000)),
]
DTYPES = ["u1", "i1", "u2", "i2", "u4", "f4"]


def random_frame(dtype: str, grayscale: Grayscale, *, inverted: bool = False, size: int = 300) -> Frame:
    """Return the worst case: independent random pixels over most of 12 bits, or of the range of the type."""
    random = np.random.default_rng(7)
    bits = min(np.dtype(dtype).itemsize * 8, 12)
    low = -(1 << bits - 1) if dtype.startswith("i") else 0
    stored = random.integers(low, low + (1 << bits), (size, size + 20)).astype(dtype)
    return Frame(index=0, stored=stored, bits_stored=bits, grayscale=grayscale, inverted=inverted)


def shown(mapping: Mapping | None, value: float) -> float:
    """Return the display value of one modality value."""
    assert mapping is not None
    return float(mapping(np.array([float(value)]))[0])


def reference(frame: Frame, spec: InputSpec) -> Array:
    """Compute the reference: display values at full size, then the resize."""
    values = display_values(frame, mapping_for(frame, spec.intensity)).astype(np.float32)
    resized = cv2.resize(values, (spec.width, spec.height), interpolation=cv2.INTER_AREA)
    return np.broadcast_to(resized[..., None] if resized.ndim == 2 else resized, spec.shape)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("intensity", INTENSITIES, ids=lambda intensity: f"{intensity.kind}-{intensity.low}")
def test_all_fast_paths_equal_the_reference(intensity: Intensity, dtype: str, inverted: bool) -> None:
    """Tables, integer resizes and late scaling are within 1/1000 of rescale, map, invert and resize."""
    spec = InputSpec(height=50, width=40, channels=1, intensity=intensity)
    for grayscale in GRAYSCALES:
        frame = random_frame(dtype, grayscale, inverted=inverted)
        assert np.allclose(prepare(frame, spec), reference(frame, spec), atol=1e-3), grayscale


@pytest.mark.parametrize("interpolation", ["area", "linear", "nearest", "cubic"])
def test_scaling_mean_and_deviation_come_last(interpolation: str) -> None:
    """The result is (x * (high - low) + low - mean) / std per channel, for three equal channels."""
    plain = InputSpec(height=20, width=20, channels=3, intensity=INTENSITIES[1], interpolation=interpolation)
    scaled = InputSpec(
        height=20,
        width=20,
        channels=3,
        intensity=INTENSITIES[1],
        interpolation=interpolation,
        scale_low=-1,
        scale_high=3,
        mean=(0.1, 0.2, 0.3),
        std=(1, 2, 4),
    )
    frame = random_frame("u2", Grayscale())

    expected = (prepare(frame, plain) * 4 - 1 - np.array([0.1, 0.2, 0.3])) / np.array([1, 2, 4])

    assert np.allclose(prepare(frame, scaled), expected, atol=1e-5)


def test_the_output_may_be_an_array_of_the_caller() -> None:
    """A slice of a batch is overwritten in place."""
    spec = InputSpec(height=8, width=8, channels=3, intensity=INTENSITIES[1])
    batch = np.full((2, 8, 8, 3), np.nan, np.float32)
    frame = random_frame("u2", Grayscale(), size=64)

    returned = prepare(frame, spec, batch[1])

    assert np.shares_memory(returned, batch)
    assert np.array_equal(batch[1], prepare(frame, spec))
    assert np.isnan(batch[0]).all()


def test_colour_becomes_luma_or_stays_colour() -> None:
    """One channel gets the luma of ITU-R BT.601; three channels keep red, green and blue."""
    stored = np.zeros((4, 4, 3), np.uint8)
    stored[..., 0] = 255
    frame = Frame(index=0, stored=stored, bits_stored=8)
    gray = InputSpec(height=2, width=2, channels=1, intensity=Intensity(kind="voi"))
    rgb = InputSpec(height=2, width=2, channels=3, intensity=Intensity(kind="voi"))

    assert np.allclose(prepare(frame, gray), 0.299, atol=1e-4)
    assert np.allclose(prepare(frame, rgb), [1, 0, 0])


def test_aspects_pad_with_the_darkest_value_and_crop_the_middle() -> None:
    """A wide white image gets bars of scale_low above and below, or loses its sides."""
    stored = np.full((10, 20), 255, np.uint8)
    stored[:, :5] = stored[:, 15:] = 100
    frame = Frame(index=0, stored=stored, bits_stored=8)
    pad = InputSpec(height=8, width=8, channels=1, intensity=INTENSITIES[1], aspect="pad", scale_low=-1)
    crop = InputSpec(height=8, width=8, channels=1, intensity=INTENSITIES[1], aspect="crop")

    padded = prepare(frame, pad)[..., 0]

    assert (padded[:2] == -1).all()
    assert (padded[6:] == -1).all()
    assert padded[2:6].min() > -0.3
    assert np.allclose(prepare(frame, crop), 1)


def test_padding_is_dark_in_both_photometric_interpretations() -> None:
    """The mask is made from stored values and applied after inversion: MONOCHROME1 must not turn padding white."""
    stored = np.array([[0, 63536], [1000, 4095]], np.uint16)
    spec = InputSpec(height=2, width=2, channels=1, intensity=Intensity(kind="window", low=0, high=4095))
    for inverted in (False, True):
        frame = Frame(
            index=0,
            stored=stored,
            bits_stored=16,
            grayscale=Grayscale(padding=(63536, 63536)),
            inverted=inverted,
        )
        assert prepare(frame, spec)[0, 1, 0] == 0
        assert prepare(frame, spec)[0, 0, 0] == int(inverted)


def test_nan_and_infinity_become_dark() -> None:
    """NaN and infinity in float pixel data do not change the range and do not reach the network."""
    stored = np.array([[np.nan, 1.0], [3.0, np.inf]], np.float32)
    frame = Frame(index=0, stored=stored, bits_stored=32)
    spec = InputSpec(height=2, width=2, channels=1, intensity=Intensity(kind="full"))

    assert prepare(frame, spec)[..., 0].tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-1000, 0.0), (-160, 0.0), (-159, 1 / 399), (39.5, 0.5), (40, 200 / 399), (239, 1.0), (300, 1.0)],
)
def test_linear_window(value: float, expected: float) -> None:
    """PS3.3 C.11.2.1.2.1 with centre 40 and width 400: (x - 39.5) / 399 + 0.5, black up to -160, white above 239."""
    assert shown(window(40, 400, None), value) == pytest.approx(expected)


@pytest.mark.parametrize(("value", "expected"), [(-160, 0.0), (-60, 0.25), (40, 0.5), (240, 1.0), (241, 1.0)])
def test_linear_exact_window(value: float, expected: float) -> None:
    """PS3.3 C.11.2.1.3.2 with centre 40 and width 400: (x - 40) / 400 + 0.5."""
    assert shown(window(40, 400, "LINEAR_EXACT"), value) == pytest.approx(expected)


@pytest.mark.parametrize(("value", "expected"), [(40, 0.5), (140, 1 / (1 + np.exp(-1))), (-9999, 0.0)])
def test_sigmoid_window(value: float, expected: float) -> None:
    """PS3.3 C.11.2.1.3.1 with centre 40 and width 400: 1 / (1 + exp(-4 (x - 40) / 400))."""
    assert shown(window(40, 400, "SIGMOID"), value) == pytest.approx(expected)


def test_windows_without_width_cannot_be_used() -> None:
    """All functions require a positive width. LINEAR is a step at a width of one, and LINEAR_EXACT below."""
    assert window(40, 0, None) is None
    assert window(40, float("nan"), None) is None
    assert window(40, 0, "LINEAR_EXACT") is None
    assert window(40, 0.5, None) == Ramp(low=39.75, high=40.25)
    assert window(40, 0.99, "LINEAR") == window(40, 0.99, "LINEAR_EXACT")
    assert window(40, -1, "SIGMOID") is None
    assert window(40, 1, None) == Ramp(low=39.5, high=39.5)
    assert Ramp(low=39.5, high=39.5)(np.array([39.0, 39.5, 40.0])).tolist() == [0, 0, 1]


def test_lookup_tables_extend_their_first_and_last_entry() -> None:
    """PS3.3 C.11.2.1.1: values before the first get the first entry, values after the last get the last entry."""
    lut = Lut(first=10, bits=8, entries=np.array([51, 102, 255], "<u2").tobytes())

    assert lut(np.array([-5.0, 10, 11, 12, 99])).tolist() == pytest.approx([0.2, 0.2, 0.4, 1, 1])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-300, 300), min_size=1, max_size=60), st.floats(0, 100), st.floats(0, 100))
def test_percentiles_equal_those_of_numpy(values: list[int], first: float, second: float) -> None:
    """Counting gives the same as sorting, also between the values."""
    low, high = sorted((first, second))
    if low == high:
        low, high = 0, 100
    stored = np.array([values], np.int16)
    frame = Frame(index=0, stored=stored, bits_stored=16, grayscale=Grayscale(slope=-1.5, intercept=3))

    ramp: Any = mapping_for(frame, Intensity(kind="percentile", low=low, high=high))

    expected = np.percentile(stored * -1.5 + 3, (low, high))
    assert (ramp.low, ramp.high) == pytest.approx(tuple(expected), abs=1e-9)
