"""Training images that are moved about keep their values and their place in the batch."""

import numpy as np
import pytest

from imaging.spec import InputSpec, Intensity
from models.training.augment import augmented, darkest
from models.training.recipe import Augmentation

SPEC = InputSpec(height=16, width=20, channels=1, intensity=Intensity(kind="full"), scale_low=-1.0, scale_high=1.0)


@pytest.fixture
def images() -> np.ndarray:
    """Eight of one bright pixel each, left of the middle, on a dark ground."""
    images = np.full((8, 16, 20, 1), -1.0, np.float32)
    images[:, 8, 5] = 1.0
    return images


def test_flips_mirror_some_images_and_leave_the_others(images: np.ndarray) -> None:
    """Left to right, never upside down, and the originals stay as they were."""
    before = images.copy()
    moved = augmented(images, Augmentation(flip=True), SPEC, np.random.default_rng(4))
    mirrored = (moved[:, 8, 14, 0] == 1).sum()
    assert 0 < mirrored < 8
    assert (moved[:, 8, 5, 0] == 1).sum() == 8 - mirrored
    np.testing.assert_array_equal(images, before)


def test_what_is_shifted_in_is_darkest(images: np.ndarray) -> None:
    """An image without any dark pixel gets an edge of scale_low, not of zero."""
    bright = np.ones_like(images)
    moved = augmented(bright, Augmentation(shift_share=0.5), SPEC, np.random.default_rng(2))
    assert moved.min() == -1.0
    assert moved.max() == 1.0
    assert (moved == -1.0).mean() > 0.1


def test_shifts_stay_within_their_share(images: np.ndarray) -> None:
    """A tenth of a width of 20 is two pixels."""
    moved = augmented(images, Augmentation(shift_share=0.1), SPEC, np.random.default_rng(3))
    weights = moved[..., 0] + 1
    columns = (weights * np.arange(20)).sum((1, 2)) / weights.sum((1, 2))
    assert 0.5 < abs(columns - 5).max() <= 2.01


def test_a_quarter_turn_keeps_the_middle() -> None:
    """The centre of rotation is the centre of the image, between the pixels of an even side."""
    image = np.full((1, 16, 16, 1), -1.0, np.float32)
    image[0, 7:9, 7:9] = 1.0
    for seed in range(5):
        turned = augmented(image, Augmentation(rotation_degrees=180), SPEC, np.random.default_rng(seed))
        weights = turned[0, ..., 0] + 1
        assert (weights.sum(0) * np.arange(16)).sum() / weights.sum() == pytest.approx(7.5, abs=0.1)


def test_the_same_draw_gives_the_same_images(images: np.ndarray) -> None:
    """A resumed training sees what it would have seen."""
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
