"""Draw an explanation as a picture: the input of the network, without and with the heat map."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.spec import BGR, InputSpec
from models.explanations.explain import AT_THRESHOLD, Explanation

Picture = NDArray[np.uint8]
"""(rows, columns, 3) in BGR, the order of OpenCV."""

_SIDE = 448
"""The least number of pixels of the longer side of each panel."""
_OPACITY = 0.6
_TOP_COLOUR = 235
"""The highest index of the colour map that is used; the colours from there to 255 are as dark as a shadow."""
_BAR, _MARGIN, _GAP = 26, 8, 4
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45
_LIGHT, _CONTOUR_COLOUR = (225, 225, 225), (255, 255, 255)


def save_overlay(explanation: Explanation, path: Path, *, title: str, remark: str = "") -> None:
    """Write a PNG of two panels with `title` above and `remark` below. Characters outside of ASCII become `?`."""
    written, content = cv2.imencode(".png", overlay(explanation, title=title, remark=remark))
    if not written:
        raise ValueError("the picture cannot be encoded as PNG")
    path.write_bytes(content.tobytes())


def overlay(explanation: Explanation, *, title: str, remark: str = "") -> Picture:
    """Return the picture that save_overlay writes."""
    plain = shown(explanation.prepared, explanation.bundle.spec)
    scale = max(_SIDE / max(plain.shape[:2]), 1.0)
    size = round(plain.shape[1] * scale), round(plain.shape[0] * scale)
    enlarged: Picture = cv2.resize(plain, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    heat = cv2.resize(explanation.scaled_heat, size, interpolation=cv2.INTER_CUBIC).clip(0, 1)
    gap = np.zeros((size[1], _GAP, 3), np.uint8)
    panels = np.hstack([enlarged, gap, heated(enlarged, heat)])
    legend = f"{explanation.bundle.reference}  {explanation.label} {explanation.score:.3f}"
    return np.vstack(
        [_bar(panels.shape[1], title, legend), panels, _bar(panels.shape[1], _scale_text(explanation), remark)]
    ).astype(np.uint8)


def shown(prepared: NDArray[np.float32], spec: InputSpec) -> Picture:
    """Convert the input of a network to a picture, with scaling and mean undone.

    If the channels show windows or neighbours, only the first channel that shows the slice itself is used.
    """
    if spec.meanings:
        channel = spec.shown_channel
        prepared, spec = prepared[..., channel : channel + 1], spec.of_channel(channel)
    mean = np.array(spec.mean or (0.0,) * spec.channels, np.float32)
    std = np.array(spec.std or (1.0,) * spec.channels, np.float32)
    values = (prepared * std + mean - spec.scale_low) / (spec.scale_high - spec.scale_low)
    if spec.channels == 1:
        values = np.repeat(values, 3, axis=2)
    elif spec.channel_order != BGR:
        values = values[..., ::-1]
    picture: Picture = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
    return picture


def heated(picture: Picture, heat: NDArray[np.float32]) -> Picture:
    """Blend the heat as colour over the picture in gray, and draw a contour where the heat reaches the threshold."""
    gray = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    share = opacity_of(heat)[..., None]
    mixed = np.ascontiguousarray(np.rint(gray * (1 - share) + colours_of(heat) * share).astype(np.uint8))
    contours, _ = cv2.findContours((heat >= AT_THRESHOLD).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mixed, contours, -1, _CONTOUR_COLOUR, 1, cv2.LINE_AA)
    return mixed


def colours_of(heat: NDArray[np.float32]) -> Picture:
    """Return the colours of heat from 0 to 1, as BGR (height, width, 3). Equal heat has one colour in all images."""
    return cv2.applyColorMap(np.rint(heat * _TOP_COLOUR).astype(np.uint8), cv2.COLORMAP_TURBO).astype(np.uint8)


def opacity_of(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much the colours cover the picture: 0 without heat."""
    return np.float32(_OPACITY) * np.sqrt(heat)


def _scale_text(explanation: Explanation) -> str:
    """Return the legend of the colours, which mean the same in all images."""
    if explanation.reaches_threshold:
        return (
            f"{explanation.method}, one scale for all images: contour = threshold {explanation.threshold:.3f}, "
            "red = score 1"
        )
    return f"{explanation.method}: no evidence above the threshold {explanation.threshold:.3f}"


def _bar(width: int, left: str, right: str) -> Picture:
    bar = np.zeros((_BAR, width, 3), np.uint8)
    baseline = _BAR - 9
    cv2.putText(bar, _ascii(left), (_MARGIN, baseline), _FONT, _FONT_SCALE, _LIGHT, 1, cv2.LINE_AA)
    (length, _), _ = cv2.getTextSize(_ascii(right), _FONT, _FONT_SCALE, 1)
    place = (max(width - length - _MARGIN, _MARGIN), baseline)
    cv2.putText(bar, _ascii(right), place, _FONT, _FONT_SCALE, _LIGHT, 1, cv2.LINE_AA)
    return bar


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")
