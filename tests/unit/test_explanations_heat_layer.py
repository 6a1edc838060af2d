"""The heat of a network's input lies where the frame has the same pixels."""

import cv2
import numpy as np
import pytest

from imaging.dicom_image import Frame
from imaging.prepare import prepare
from imaging.spec import InputSpec, Intensity
from models.explanations.heat_layer import heat_layer
from models.explanations.overlay import heated
from models.explanations.regions import heat_on_image

SIDE = 64


@pytest.mark.parametrize("shape", [(128, 128), (256, 128), (100, 300), (64, 64)])
@pytest.mark.parametrize("aspect", ["stretch", "pad", "crop"])
def test_the_heat_is_where_the_frame_has_the_pixels(aspect: str, shape: tuple[int, int]) -> None:
    """A bright square in the middle part of the frame is found again at its place."""
    stored = np.zeros(shape, np.uint8)
    rows, columns = slice(shape[0] // 2 - 10, shape[0] // 2 + 6), slice(shape[1] // 2 - 4, shape[1] // 2 + 12)
    stored[rows, columns] = 255
    spec = InputSpec(height=SIDE, width=SIDE, channels=1, intensity=Intensity(kind="full"), aspect=aspect)
    heat = prepare(Frame(index=0, stored=stored, bits_stored=8), spec)[..., 0]

    found = heat_on_image(heat, spec, *shape)

    assert found.shape == shape
    assert (found.min(), found.max()) == (0, 1)
    hot = found >= 0.5
    assert hot[rows, columns].mean() > 0.8
    assert hot.sum() < 1.4 * hot[rows, columns].size


def test_what_the_network_did_not_see_has_no_heat() -> None:
    """With aspect `crop` the network sees the middle square only."""
    spec = InputSpec(height=SIDE, width=SIDE, channels=1, intensity=Intensity(kind="full"), aspect="crop")
    found = heat_on_image(np.ones((SIDE, SIDE), np.float32), spec, 100, 300)
    assert found[:, :100].max() == found[:, 200:].max() == 0
    assert found[:, 100:200].min() > 0.999


def test_the_layer_over_the_picture_is_the_overlay() -> None:
    """No heat is transparent; a browser that lays it over the grey picture shows what `explain` draws."""
    rng = np.random.default_rng(5)
    picture = np.repeat(rng.integers(0, 256, (SIDE, SIDE, 1), np.uint8), 3, axis=2)
    heat = cv2.GaussianBlur(rng.random((SIDE, SIDE), np.float32), (0, 0), 6).astype(np.float32)
    heat = (heat - heat.min()) / np.ptp(heat)

    layer = heat_layer(heat)

    assert layer.shape == (SIDE, SIDE, 4)
    assert layer[heat == 0][:, 3].max() == 0
    share = layer[..., 3:].astype(np.float32) / 255
    blended = picture * (1 - share) + layer[..., 2::-1] * share
    np.testing.assert_allclose(blended, heated(picture, heat), atol=8)
