"""Networks that want blue first."""

import numpy as np
import pytest

from imaging.dicom_image import Frame
from imaging.prepare import prepare
from imaging.spec import InputSpec, Intensity

FULL = Intensity(kind="full")


def test_bgr_is_rgb_turned_round_and_mean_follows_it() -> None:
    """Mean and deviation are in the order of the network, as Caffe gives them."""
    stored = np.zeros((4, 4, 3), np.uint8)
    stored[...] = (10, 20, 30)
    frame = Frame(index=0, stored=stored, bits_stored=8)
    spec = InputSpec(
        height=2,
        width=2,
        channels=3,
        intensity=FULL,
        scale_high=255,
        channel_order="bgr",
        mean=(1, 2, 3),
        std=(1, 2, 1),
    )
    assert np.allclose(prepare(frame, spec)[0, 0], [30 - 1, (20 - 2) / 2, 10 - 3], atol=1e-3)


def test_gray_has_no_order() -> None:
    """Three equal channels are the same either way, and one channel cannot be turned."""
    frame = Frame(index=0, stored=np.arange(16, dtype=np.uint8).reshape(4, 4), bits_stored=8)
    turned = InputSpec(height=4, width=4, channels=3, intensity=FULL, channel_order="bgr")
    straight = InputSpec(height=4, width=4, channels=3, intensity=FULL)
    assert np.array_equal(prepare(frame, turned), prepare(frame, straight))
    with pytest.raises(ValueError, match="channel_order is 'bgr'; allowed: rgb"):
        InputSpec(height=4, width=4, channels=1, intensity=FULL, channel_order="bgr")


def test_the_usual_order_goes_unsaid() -> None:
    """So digests of bundles from before the field was there stay what they were; the other order is kept."""
    usual = InputSpec(height=4, width=4, channels=3, intensity=FULL)
    turned = InputSpec(height=4, width=4, channels=3, intensity=FULL, channel_order="bgr")
    assert "channel_order" not in usual.to_json()
    assert InputSpec.from_json(usual.to_json()) == usual
    assert InputSpec.from_json(turned.to_json()) == turned
