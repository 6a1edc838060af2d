"""Channel order BGR of network inputs."""

import numpy as np
import pytest

from imaging.dicom_image import Frame
from imaging.prepare import prepare
from imaging.spec import InputSpec, Intensity

FULL = Intensity(kind="full")


def test_bgr_reverses_rgb_and_the_mean_is_in_bgr_order() -> None:
    """Mean and standard deviation are in the channel order of the network, as in Caffe."""
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


def test_gray_has_no_channel_order() -> None:
    """Three equal channels are the same in both orders, and one channel has no order."""
    frame = Frame(index=0, stored=np.arange(16, dtype=np.uint8).reshape(4, 4), bits_stored=8)
    turned = InputSpec(height=4, width=4, channels=3, intensity=FULL, channel_order="bgr")
    straight = InputSpec(height=4, width=4, channels=3, intensity=FULL)
    assert np.array_equal(prepare(frame, turned), prepare(frame, straight))
    with pytest.raises(ValueError, match="channel_order is 'bgr'; allowed: rgb"):
        InputSpec(height=4, width=4, channels=1, intensity=FULL, channel_order="bgr")


def test_the_default_order_is_omitted() -> None:
    """This keeps the digests of bundles that are older than the field; the other order is written."""
    usual = InputSpec(height=4, width=4, channels=3, intensity=FULL)
    turned = InputSpec(height=4, width=4, channels=3, intensity=FULL, channel_order="bgr")
    assert "channel_order" not in usual.to_json()
    assert InputSpec.from_json(usual.to_json()) == usual
    assert InputSpec.from_json(turned.to_json()) == turned
