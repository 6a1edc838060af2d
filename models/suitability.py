"""Say whether a bundle was made for an image, as a worker decides it."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from imaging.dicom_image import DicomImage
from imaging.prepare import prepare
from imaging.read_kind import shown_kind
from models.bundle import Bundle
from models.domain import refusal
from models.input_range import FAR, FOREIGN_INTENSITIES, InputRange, middle_distance
from nightread.errors import ImageError

_CHUNK = 16


def why_unsuitable(bundle: Bundle, image: DicomImage) -> str | None:
    """Return why a worker would reject the image; None if it would not. All frames are decoded."""
    try:
        if refused := refusal(bundle.domain, shown_kind(image)):
            return refused.detail
        intensities = bundle.domain.intensities if bundle.domain else None
        distances = list(_distances(intensities, bundle, image)) if intensities else [0.0]
    except ImageError as error:
        return error.detail
    return FOREIGN_INTENSITIES if middle_distance(distances, len(distances)) > FAR else None


def _distances(intensities: InputRange, bundle: Bundle, image: DicomImage) -> Iterator[float]:
    frames = image.frames()
    while chunk := [prepare(frame, bundle.spec) for frame in islice(frames, _CHUNK)]:
        yield from intensities.distances(np.stack(chunk), bundle.spec).tolist()
