"""Draw the picture of an image: read, render, encode."""

from http import HTTPStatus

import cv2

from api.pictures.picture import JPEG, NoPictureError, Picture, PictureRequest
from api.pictures.reading import read_image, require_frame, view_of
from imaging.array import Array
from imaging.dicom_image import DicomImage
from imaging.limits import Limits
from imaging.pixel_ratio import pixel_ratio
from imaging.rendering import render, used_mapping
from imaging.view import View

_COLOUR_DIMENSIONS = 3
_FAST = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
"""Fast PNG compression: a film of 512 x 512 pixels takes 6 ms and 160 kB; the highest level takes 13 ms and 173 kB."""


def draw(request: PictureRequest, data: bytes, limits: Limits) -> Picture:
    """Return the picture of one frame. Raises NoPictureError, ImageError and OutsideRegionError."""
    image = read_image(request, data, limits)
    index = _index(request, image)
    view = view_of(image, request.view)
    frame = image.frame(index)
    pixels = render(frame, view, pixel_ratio=pixel_ratio(image.elements, index))
    details = {"frame": f"{index + 1}/{image.frame_count}"}
    if frame.stored.ndim < _COLOUR_DIMENSIONS:
        low, high = used_mapping(frame, view.window).extent
        details["range"] = f"{low:g},{high:g}"
    return Picture(
        content=encode(pixels, request.media_type, request.quality), media_type=request.media_type, details=details
    )


def encode(pixels: Array, media_type: str, quality: int = 0) -> bytes:
    """Encode pixels as JPEG or PNG. They are uint8 (height, width[, 3 or 4]) in grey, RGB or RGBA.

    `quality` is the quality of a JPEG, from 0 to 100. Raises NoPictureError.
    """
    if pixels.ndim == _COLOUR_DIMENSIONS:
        pixels = cv2.cvtColor(
            pixels, cv2.COLOR_RGBA2BGRA if pixels.shape[2] > _COLOUR_DIMENSIONS else cv2.COLOR_RGB2BGR
        )
    if media_type == JPEG:
        written, content = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, quality))
    else:
        written, content = cv2.imencode(".png", pixels, _FAST)
    if not written:
        raise NoPictureError(HTTPStatus.INTERNAL_SERVER_ERROR, "The picture cannot be encoded.")
    return content.tobytes()


def grey_or_rgb(image: DicomImage, index: int, view: View) -> Array:
    """Return the rendered frame, uint8 of shape (height, width[, 3])."""
    return render(image.frame(index), view, pixel_ratio=pixel_ratio(image.elements, index))


def _index(request: PictureRequest, image: DicomImage) -> int:
    if request.frame == "first":
        return 0
    return image.frame_count // 2 if request.frame == "middle" else require_frame(image, request.frame)
