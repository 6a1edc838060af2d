"""Draw a key image: one frame with its regions, and a stamp that says what it is."""

import unicodedata

import cv2
import numpy as np
from numpy.typing import NDArray

from delivery.evidence import Evidence
from imaging.dicom_image import Frame
from imaging.intensity import display_values, mapping_for
from imaging.spec import Intensity

Picture = NDArray[np.uint8]
"""(rows, columns, 3) RGB."""

_LEAST, _MOST = 512, 1024
"""The longer side of the frame is enlarged or reduced to this range, in pixels, so that the text can be read."""
_BAR, _MARGIN = 34, 10
_FONT, _SCALE, _THICKNESS = cv2.FONT_HERSHEY_SIMPLEX, 0.62, 1
_STAMP_COLOUR, _TEXT_COLOUR, _OUTLINE_COLOUR = (255, 210, 60), (235, 235, 235), (255, 210, 60)
_COLOUR_DIMENSIONS = 3


def draw(frame: Frame, evidence: Evidence | None, *, stamp: str, lines: tuple[str, str]) -> Picture:
    """Return a picture of the frame in the window of its header, with outlines, `stamp` above and `lines` below."""
    picture = _shown(frame)
    longer = max(picture.shape[:2])
    scale = min(max(_LEAST / longer, 1.0), _MOST / longer)
    size = max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1)
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC).astype(np.uint8)
    for corners in evidence.regions if evidence else ():
        points = np.rint(np.array(corners) * (size[0] / frame.stored.shape[1], size[1] / frame.stored.shape[0]))
        cv2.polylines(picture, [points.astype(np.int32)], isClosed=True, color=_OUTLINE_COLOUR, thickness=2)
    bars = [_bar(size[0], stamp, _STAMP_COLOUR), picture, *(_bar(size[0], line, _TEXT_COLOUR) for line in lines)]
    return np.vstack(bars).astype(np.uint8)


def _shown(frame: Frame) -> Picture:
    values = display_values(frame, mapping_for(frame, Intensity(kind="voi")))
    picture: Picture = np.rint(np.asarray(values, np.float32).clip(0, 1) * 255).astype(np.uint8)
    if picture.ndim == _COLOUR_DIMENSIONS:
        return picture
    return np.repeat(picture[..., None], 3, axis=2)


def _bar(width: int, text: str, colour: tuple[int, int, int]) -> Picture:
    bar = np.zeros((_BAR, width, 3), np.uint8)
    shown = _ascii(text)
    scale = _SCALE
    length = cv2.getTextSize(shown, _FONT, scale, _THICKNESS)[0][0]
    if length > width - 2 * _MARGIN:  # a narrow picture: smaller letters instead of a cut stamp
        scale *= (width - 2 * _MARGIN) / length
    cv2.putText(bar, shown, (_MARGIN, _BAR - 11), _FONT, scale, colour, _THICKNESS, cv2.LINE_AA)
    return bar


def _ascii(text: str) -> str:
    """Return the text in ASCII, which OpenCV can draw. Other characters are dropped; an empty result becomes `?`."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii") or "?"
