"""Read what kind of image an object holds."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from imaging import tags
from imaging.array import Array
from imaging.dicom_image import DicomFrames, DicomImage, Frame
from imaging.facts import CODE_LENGTH, storable_text
from imaging.kind import COLOUR, GREY, ImageKind
from nightread.errors import RejectImage

_CHANNELS = _COLOUR_DIMENSIONS = 3
_GREY_TOLERANCE = 0.02
"""A pixel is grey if its channels differ by at most this share of the full range: lossy compression changes equal
channels slightly."""
_COLOURED_SHARE = 0.001
"""Share of the pixels of a grey picture whose channels may differ by more than _GREY_TOLERANCE."""


def shown_kind(image: DicomImage, frames: Iterable[Frame] | None = None) -> ImageKind:
    """Return the kind of an image. An image that is stored in colours counts as grey if its channels are equal.

    Images that are stored in grey are not decoded. Of other images, the given `frames` are checked, or else all frames;
    the check ends at the first coloured frame. Raises RejectImage like DicomImage.frames().
    """
    kind = read_kind(image)
    if kind.samples == GREY or not all(map(is_grey, image.frames() if frames is None else frames)):
        return kind
    return kind._replace(samples=GREY, photometric="MONOCHROME2")


def likely_kind(image: DicomImage) -> ImageKind:
    """Return the kind that the frames show, or the kind in the header if a frame cannot be decoded."""
    try:
        return shown_kind(image)
    except RejectImage:
        return read_kind(image)


def read_kind(image: DicomImage) -> ImageKind:
    """Return the kind of the image without decoding its frames.

    Most values were already read into `image.facts`; of the header, only ViewPosition and QualityControlImage are read
    here. If the image is not DICOM, the shape of its frames decides between grey and colour.
    """
    facts, elements, source = image.facts, image.elements, image.source
    if elements is None or not isinstance(source, DicomFrames):
        samples = COLOUR if isinstance(source, tuple) and any(map(_is_coloured, source)) else GREY
        return ImageKind(is_dicom=False, samples=samples, rows=facts.rows, columns=facts.columns)
    layout = source.layout
    return ImageKind(
        is_dicom=True,
        sop_class=facts.sop_class_uid,
        modality=facts.modality,
        image_type=facts.image_type,
        body_part=facts.body_part,
        view=_code(elements.raw(tags.VIEW_POSITION)),
        photometric=layout.photometric,
        samples=COLOUR if layout.samples > 1 or source.palette is not None else GREY,
        rows=facts.rows,
        columns=facts.columns,
        quality_control=(tags.QUALITY_CONTROL_IMAGE in elements and elements.text(tags.QUALITY_CONTROL_IMAGE) == "YES"),
    )


@lru_cache
def _code(raw: bytes) -> str | None:
    """Return a code as text. The results are cached, because the images of a night have only a few different codes."""
    return storable_text(raw.decode("ascii", "replace").strip(" \x00"), CODE_LENGTH)


def is_grey(frame: Frame) -> bool:
    """Return whether all channels of a frame are equal: a grey picture that was stored as a coloured one."""
    if not _is_coloured(frame):
        return True
    stored = frame.stored
    span = float(1 << frame.bits_stored) if stored.dtype.kind in "ui" else float(np.ptp(stored))
    red, green, blue = (_unwrapped(stored[..., channel]) for channel in range(_CHANNELS))
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return float((spread > _GREY_TOLERANCE * span).mean()) <= _COLOURED_SHARE


def _unwrapped(channel: Array) -> Array:
    """Return the values in a type in which the highest minus the lowest does not overflow."""
    return channel if channel.dtype.kind == "u" else channel.astype(np.float32)


def _is_coloured(frame: Frame) -> bool:
    return frame.stored.ndim == _COLOUR_DIMENSIONS
