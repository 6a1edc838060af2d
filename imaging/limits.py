"""What one image may cost, checked before a pixel is allocated."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Anything above is rejected as too_large."""

    file_bytes: int = 2 * 1024**3
    frame_pixels: int = 100_000_000
    """Rows x Columns of one frame."""
    object_bytes: int = 8 * 1024**3
    """All frames of one object, decoded."""
    frames: int = 100_000
    """Of one object: each costs a decoding, a prediction and a row, however few pixels it has."""
    inflated_bytes: int = 512 * 1024**2
    """A deflated data set up to the end of its pixel data; a sixteenth of it before them."""


DEFAULT_LIMITS = Limits()
