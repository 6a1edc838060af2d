"""A reduction to a quarter or an eighth by halving gives the same input, to the last bit, as one resize."""

import numpy as np
import pytest

from imaging import prepare as prepare_module
from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.grayscale import Grayscale
from imaging.prepare import prepare
from imaging.spec import InputSpec, Intensity
from imaging.voi import Ramp

RANDOM = np.random.default_rng(16)


def picture(dtype: str, rows: int, columns: int, *more: int) -> Array:
    """Return a picture of random values, of all that the type allows."""
    limits = np.iinfo(dtype)
    return RANDOM.integers(limits.min, limits.max, (rows, columns, *more), dtype, endpoint=True)


def inputs(stored: Array, window: Ramp, *, slope: float = 1.0) -> tuple[Array, int]:
    """Return the input of 16 x 24 pixels, and how often the picture was halved for it."""
    halvings = []
    spec = InputSpec(height=16, width=24, channels=1, intensity=Intensity(kind="voi"))
    frame = Frame(index=0, stored=stored, bits_stored=16, grayscale=Grayscale(slope=slope, voi=window))
    with pytest.MonkeyPatch.context() as patch:
        halved = prepare_module._halved
        patch.setattr(
            prepare_module, "_halved", lambda values, times: (halvings.append(times), halved(values, times))[1]
        )
        prepared = prepare(frame, spec)
    return prepared, sum(halvings)


def in_one_step(stored: Array, window: Ramp, *, slope: float = 1.0) -> Array:
    """Return the input without halving."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare_module, "_HALVINGS", {})
        prepared, halvings = inputs(stored, window, slope=slope)
    assert halvings == 0
    return prepared


WIDE, NARROW, BETWEEN = Ramp(low=-20_000.3, high=30_000.7), Ramp(low=-160, high=239), Ramp(low=100.25, high=499.75)


@pytest.mark.parametrize("window", [NARROW, BETWEEN], ids=["narrow", "between integers"])
@pytest.mark.parametrize("dtype", ["u2", "i2", "u1"])
@pytest.mark.parametrize(("factor", "times"), [(4, 2), (8, 3)])
def test_halving_equals_one_resize(window: Ramp, dtype: str, factor: int, times: int) -> None:
    """Narrow windows, 16 bits with and without sign, and 8 bits."""
    stored = picture(dtype, 16 * factor, 24 * factor)
    window = Ramp(low=0.0, high=200.5) if dtype == "u1" else window
    prepared, halvings = inputs(stored, window)
    assert halvings == times
    assert np.array_equal(prepared, in_one_step(stored, window))


def test_colours_are_halved_too() -> None:
    """RGB becomes grey after the resize."""
    stored, window = picture("u2", 64, 96, 3), Ramp(low=0, high=1000)
    prepared, halvings = inputs(stored, window)
    assert halvings == 2
    assert np.array_equal(prepared, in_one_step(stored, window))


@pytest.mark.parametrize(
    ("rows", "columns"), [(32, 48), (48, 72), (64, 100), (68, 96), (256, 384), (63, 95)],
    ids=["half", "third", "wider", "higher", "sixteenth", "nearly a quarter"],
)  # fmt: skip
def test_other_reductions_take_one_step(rows: int, columns: int) -> None:
    """OpenCV halves fast anyway, and sums of 256 values need more than 24 bits."""
    assert inputs(picture("u2", rows, columns), NARROW)[1] == 0


def test_wide_windows_take_one_step() -> None:
    """Their values are resized as integers, and the conversion would take as long as halving saves."""
    assert inputs(picture("u2", 64, 96), WIDE)[1] == 0


@pytest.mark.parametrize("window", [Ramp(low=0.1, high=400), Ramp(low=0, high=400.1), Ramp(low=0, high=65_537 * 2 / 3)])
def test_limits_that_need_more_bits_take_one_step(window: Ramp) -> None:
    """The order of a sum matters if float32 rounds it."""
    stored = picture("u1", 64, 96)
    assert inputs(stored, window)[1] == 0


def test_a_slope_can_make_limits_that_need_more_bits() -> None:
    """Values are clipped before the rescale: at a third of the window."""
    stored = picture("u2", 64, 96)
    assert inputs(stored, NARROW, slope=3.0)[1] == 0
    assert inputs(stored, NARROW, slope=2.0)[1] == 2


def test_values_far_outside_are_clipped_before_they_are_summed() -> None:
    """A black picture in a window that begins above all values stays black."""
    prepared, _ = inputs(np.zeros((64, 96), np.uint16), Ramp(low=70_000, high=70_400))
    assert not prepared.any()
