"""Occlusion explains a network of which only scores are known."""

from pathlib import Path

import numpy as np
import pytest
from onnx_files import OPSET, save_mean_network
from test_models_bundle import make_bundle

from imaging.spec import InputSpec, Intensity
from models.bundle import save_bundle
from models.explanations.explain import explain
from models.explanations.frame_choice import Network
from models.explanations.load import load_to_explain
from models.explanations.overlay import _scale_text
from models.onnx_signature import OnnxSignature
from nightread.errors import UsageFault

SIDE = 32
SQUARE = slice(8, 14), slice(20, 26)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    """Return a network whose second label is the more likely, the brighter the image is."""
    spec = InputSpec(height=SIDE, width=SIDE, channels=1, intensity=Intensity(kind="window", low=0, high=255))
    bundle = make_bundle(spec=spec, onnx=OnnxSignature(input="images", output="scores", opset=OPSET))
    saved = save_bundle(bundle, tmp_path, save_onnx=lambda path: save_mean_network(path, spec.shape, 2))
    return load_to_explain(saved)


def test_the_bright_square_is_the_evidence(network: Network) -> None:
    """The map says how it was made, and its hottest pixel is in the square."""
    image = np.full((SIDE, SIDE, 1), 0.2, np.float32)
    image[SQUARE] = 1

    found = explain(network, image, "nodule")

    assert (found.method, found.layer, found.heat.max()) == ("occlusion", None, 1)
    row, column = np.unravel_index(found.heat.argmax(), found.heat.shape)
    assert (SQUARE[0].start <= row < SQUARE[0].stop, SQUARE[1].start <= column < SQUARE[1].stop) == (True, True)
    assert found.heat[SQUARE].sum() > 0.6 * found.heat.sum()
    assert _scale_text(found).startswith("occlusion")


def test_an_even_image_has_no_evidence(network: Network) -> None:
    """Blurring a part of it changes nothing. An unknown label is refused as with Grad-CAM."""
    image = np.full((SIDE, SIDE, 1), 0.5, np.float32)
    assert explain(network, image, "nodule").heat.max() <= 1
    assert explain(network, np.zeros_like(image), "nodule").heat.max() == 0
    with pytest.raises(UsageFault, match="no label mass"):
        explain(network, image, "mass")
