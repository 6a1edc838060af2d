"""Augmentation moves training images and keeps their values and order."""

from dataclasses import replace

import numpy as np
import pytest

from imaging.input_channel import InputChannel
from imaging.spec import InputSpec, Intensity
from models.training.augment import augmented, darkest
from models.training.recipe import Augmentation

SPEC = InputSpec(height=16, width=20, channels=1, intensity=Intensity(kind="full"), scale_low=-1.0, scale_high=1.0)


@pytest.fixture
def images() -> np.ndarray:
    """Return eight dark images with one bright pixel left of the middle."""
    images = np.full((8, 16, 20, 1), -1.0, np.float32)
    images[:, 8, 5] = 1.0
    return images


def test_flips_mirror_some_images_and_do_not_change_the_others(images: np.ndarray) -> None:
    """Images are mirrored left to right, never upside down, and the originals do not change."""
    before = images.copy()
    moved = augmented(images, Augmentation(flip=True), SPEC, np.random.default_rng(4))
    mirrored = (moved[:, 8, 14, 0] == 1).sum()
    assert 0 < mirrored < 8
    assert (moved[:, 8, 5, 0] == 1).sum() == 8 - mirrored
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("channels", [5, 9])
def test_any_number_of_channels_moves_together(channels: int) -> None:
    """Windows and neighbours are channels; OpenCV fills the borders of four at once."""
    meanings = tuple(InputChannel(offset=number) for number in range(channels))
    means = tuple(number / 10 for number in range(channels))
    spec = replace(SPEC, channels=channels, meanings=meanings, mean=means)
    bright = np.ones((2, 16, 20, channels), np.float32)
    moved = augmented(bright, Augmentation(rotation_degrees=20, shift_share=0.5), spec, np.random.default_rng(2))
    np.testing.assert_allclose(moved.min(axis=(0, 1, 2)), darkest(spec), rtol=1e-6)
    covered = moved == 1
    assert (covered == covered[..., :1]).all()


def test_uncovered_borders_are_darkest(images: np.ndarray) -> None:
    """A shifted bright image gets a border of scale_low, not of zero."""
    bright = np.ones_like(images)
    moved = augmented(bright, Augmentation(shift_share=0.5), SPEC, np.random.default_rng(2))
    assert moved.min() == -1.0
    assert moved.max() == 1.0
    assert (moved == -1.0).mean() > 0.1


def test_shifts_do_not_exceed_their_share(images: np.ndarray) -> None:
    """A share of 0.1 of a width of 20 is two pixels."""
    moved = augmented(images, Augmentation(shift_share=0.1), SPEC, np.random.default_rng(3))
    weights = moved[..., 0] + 1
    columns = (weights * np.arange(20)).sum((1, 2)) / weights.sum((1, 2))
    assert 0.5 < abs(columns - 5).max() <= 2.01


def test_a_rotation_keeps_the_centre() -> None:
    """The centre of rotation is the centre of the image; with an even number of pixels it is between two pixels."""
    image = np.full((1, 16, 16, 1), -1.0, np.float32)
    image[0, 7:9, 7:9] = 1.0
    for seed in range(5):
        turned = augmented(image, Augmentation(rotation_degrees=180), SPEC, np.random.default_rng(seed))
        weights = turned[0, ..., 0] + 1
        assert (weights.sum(0) * np.arange(16)).sum() / weights.sum() == pytest.approx(7.5, abs=0.1)


def test_the_same_seed_gives_the_same_images(images: np.ndarray) -> None:
    """A resumed training must see the same images as an uninterrupted one."""
    plan = Augmentation(rotation_degrees=20, shift_share=0.2, flip=True)
    first, again, other = (augmented(images, plan, SPEC, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_darkest_value_follows_the_normalisation() -> None:
    """(scale_low - mean) / std per channel, as imaging.prepare pads."""
    spec = InputSpec(
        height=4, width=4, channels=3, intensity=Intensity(kind="full"), mean=(0.5, 0.4, 0.3), std=(0.5, 0.2, 0.1)
    )
    assert darkest(spec) == pytest.approx((-1.0, -2.0, -3.0))
