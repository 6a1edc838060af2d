"""Draw the images to which two networks give different labels, with the heat map of each network."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.limits import Limits
from imaging.read import read
from models.bundle import Bundle
from models.comparison.values import Flip
from models.explanations.explain import Explanation
from models.explanations.frame_choice import explain_image
from models.explanations.load import load_to_explain
from models.explanations.overlay import heated, shown
from models.runtimes.network import Network
from nightread.errors import ImageError, UsageFault

_SIDE = 256
"""The number of pixels of the longer side of a picture."""
_QUALITY = 88


@dataclass(frozen=True, kw_only=True, slots=True)
class FlipPicture:
    """The pictures of one image, as data URIs."""

    plain: str | None = None
    """The image as the network sees it."""
    heat: tuple[str | None, str | None] = (None, None)
    """The image with the heat map of the first and of the second network; None if a network is not on this host."""
    frame: int = 0
    """The index of the frame that is shown. Of several frames, the first network on this host chooses one."""
    why_none: str | None = None
    """The reason why there is no picture; None if there is a picture."""


class FlipPainter:
    """Draws pictures with two networks, which are loaded once. A bundle is None if this host does not have it."""

    def __init__(self, bundles: tuple[Bundle | None, Bundle | None], limits: Limits) -> None:
        """Load the networks. Raises StopWork if a network cannot be loaded."""
        self._networks = tuple(load_to_explain(bundle) if bundle else None for bundle in bundles)
        self._limits = limits

    def draw(self, flip: Flip, data: bytes) -> FlipPicture:
        """Return the pictures of an image from the bytes of its file; `why_none` says why there are none."""
        drawn: list[Explanation | None] = []
        frame: int | None = None
        try:
            image = read(data, limits=self._limits, accept_raster=True)
            for network, label in zip(self._networks, _labels(flip, self._networks), strict=True):
                if network is None:
                    drawn.append(None)
                    continue
                frame, explanation = explain_image(network, image, label=label, frame=frame)
                drawn.append(explanation)
        except ImageError as error:
            return FlipPicture(why_none=error.reason.message)
        except UsageFault:
            return FlipPicture(why_none="The network has no layer that a heat map could come from.")
        known = next((explanation for explanation in drawn if explanation), None)
        if known is None:
            return FlipPicture(why_none="Neither model is on this host.")
        first, second = (_heat(explanation) for explanation in drawn)
        return FlipPicture(plain=_uri(_plain(known)), heat=(first, second), frame=frame or 0)


def _labels(flip: Flip, networks: Sequence[Network | None]) -> Iterator[str | None]:
    """Yield, for each network, the label to explain: its own label if it is a finding, else that of the other network.

    The label is None if the network knows no such finding or is not on this host.
    """
    normal = {network.bundle.postprocessing.normal_label for network in networks if network}
    findings = [label for label in (flip.first_label, flip.second_label) if label and label not in normal]
    for network, own in zip(networks, (flip.first_label, flip.second_label), strict=True):
        known = network.bundle.labels if network else ()
        wanted = [label for label in (own, *findings) if label in findings and label in known]
        yield wanted[0] if wanted else None


def _plain(explanation: Explanation) -> NDArray[np.uint8]:
    return _enlarged(shown(explanation.prepared, explanation.bundle.spec))


def _heat(explanation: Explanation | None) -> str | None:
    if explanation is None:
        return None
    plain = _plain(explanation)
    size = plain.shape[1], plain.shape[0]
    heat = cv2.resize(explanation.scaled_heat, size, interpolation=cv2.INTER_CUBIC).clip(0, 1)
    return _uri(heated(plain, heat.astype(np.float32)))


def _enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = _SIDE / max(picture.shape[:2])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, size, interpolation=way).astype(np.uint8)


def _uri(picture: NDArray[np.uint8]) -> str:
    _, encoded = cv2.imencode(".jpeg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
