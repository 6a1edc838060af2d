"""Make pixel layouts of which a test names only what matters to it."""

from dataclasses import replace
from typing import Any

from imaging.pixel_layout import PixelLayout
from imaging.tags import PIXEL_DATA

_GREY = PixelLayout(
    rows=2, columns=2, frames=1, samples=1, photometric="MONOCHROME2", planar=False, bits_allocated=16,
    bits_stored=16, high_bit=15, signed=False, pixel_tag=PIXEL_DATA,
)  # fmt: skip


def pixel_layout(**changes: Any) -> PixelLayout:
    """Return the layout of one grey frame of 2 x 2 pixels with 16 bits, after these changes."""
    return replace(_GREY, **changes)
