"""The intensities of prepared inputs against those of the training images."""

import numpy as np
import pytest
from numpy.typing import NDArray

from imaging.spec import InputSpec, Intensity
from models.input_range import FAR, NEAR, InputRange, percentiles

SPEC = InputSpec(height=10, width=10, channels=1, intensity=Intensity(kind="full"))
PLAIN = InputRange(percentiles=(0, 50, 100), low=(0.0, 0.4, 0.8), high=(0.2, 0.6, 1.0), images=50)


def flat(*values: float, channels: int = 1) -> NDArray[np.float32]:
    """Return one input of 10 x 10 pixels for each value."""
    return np.stack([np.full((10, 10, channels), value, np.float32) for value in values])


def test_small_inputs_give_exact_percentiles() -> None:
    """All pixels of 10 x 10 are on the grid; 0..99 has the percentiles 5, 50 and 95 at 5, 50 and 94."""
    ramp = np.arange(100, dtype=np.float32).reshape(1, 10, 10, 1)

    assert percentiles(ramp, (0, 5, 50, 95, 100)).tolist() == [[0.0, 5.0, 50.0, 94.0, 99.0]]


def test_large_inputs_are_sampled_on_a_grid() -> None:
    """120 x 120 pixels: each tenth row and column, from the middle of the first ten."""
    image = np.zeros((1, 120, 120, 1), np.float32)
    image[0, 5::10, 5::10] = 1

    assert percentiles(image, (0, 100)).tolist() == [[1.0, 1.0]]


def test_the_order_of_channels_does_not_matter() -> None:
    """The mean of the channels is measured."""
    colour = np.zeros((1, 10, 10, 3), np.float32)
    colour[..., 0] = 0.9

    assert percentiles(colour, (50,)) == pytest.approx(0.3)
    assert percentiles(colour[..., ::-1], (50,)) == pytest.approx(0.3)


def test_the_distance_is_the_mean_excess_over_all_percentiles() -> None:
    """Of a flat input of 0.5 only the lowest and the highest percentile are outside, by 0.3 each: 0.6 / 3."""
    assert PLAIN.distances(flat(0.5), SPEC) == pytest.approx([0.2])


def test_an_input_like_the_training_images_has_no_distance() -> None:
    """The range of a set of images holds each of them."""
    rng = np.random.default_rng(5)
    images = rng.random((40, 10, 10, 1), dtype=np.float32)
    measured = InputRange.measure([images[:25], images[25:]])

    assert measured.images == 40
    assert measured.distances(images, SPEC).max() < NEAR


@pytest.mark.parametrize(("low", "high", "std"), [(0.0, 255.0, None), (0.0, 1.0, (0.25,)), (1.0, -1.0, None)])
def test_the_distance_does_not_depend_on_the_scale_of_the_input(
    low: float, high: float, std: tuple[float, ...] | None
) -> None:
    """Black to white is one, also for 0..255, for standardised and for inverted inputs."""
    spec = InputSpec(
        height=10,
        width=10,
        channels=1,
        intensity=Intensity(kind="full"),
        scale_low=low,
        scale_high=high,
        std=std,
        mean=None if std is None else (0.0,),
    )
    unit = (high - low) / (std[0] if std else 1)
    measured = InputRange.measure([low + flat(0.4, 0.6) * unit])

    assert measured.distances(low + flat(0.5, 0.65, 0.9) * unit, spec) == pytest.approx([0.0, 0.05, 0.3], abs=1e-3)


def test_the_edge_is_narrower_than_what_is_outside() -> None:
    """Between NEAR and FAR a result has a remark."""
    assert 0 < NEAR < FAR < 1
