"""Describe pixels without a file: a layout of which a test names only what matters to it."""

from typing import Any

import numpy as np

from imaging import tags
from imaging.array import Array
from imaging.pixel_layout import PixelLayout


def layout_of(**values: Any) -> PixelLayout:
    """Return the layout of one grey frame of 4 x 4 pixels of 8 bits, with these values in place of its own."""
    plain: dict[str, Any] = {
        "rows": 4, "columns": 4, "frames": 1, "samples": 1, "photometric": "MONOCHROME2", "planar": False,
        "bits_allocated": 8, "bits_stored": 8, "high_bit": 7, "signed": False, "pixel_tag": tags.PIXEL_DATA,
    }  # fmt: skip
    return PixelLayout(**{**plain, **values})


def colour_layout(photometric: str, **values: Any) -> PixelLayout:
    """Return the layout of one colour frame of 4 x 4 pixels of 8 bits."""
    return layout_of(samples=3, photometric=photometric, **values)


def field(*colour: int, dtype: type = np.uint8) -> Array:
    """Return 4 x 4 pixels of one colour."""
    return np.full((4, 4, 3), colour, dtype)
