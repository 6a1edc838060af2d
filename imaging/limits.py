"""Define the size limits of one image, which are checked before memory for pixels is allocated."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The largest accepted sizes. An image that exceeds one of them is rejected as too_large."""

    file_bytes: int = 2 * 1024**3
    frame_pixels: int = 100_000_000
    """Rows x Columns of one frame."""
    object_bytes: int = 8 * 1024**3
    """Size of all decoded frames of one object."""
    frames: int = 100_000
    """Frames of one object. Each one costs a decoding, a prediction and a database row, even if it is tiny."""
    inflated_bytes: int = 512 * 1024**2
    """Size of an inflated data set up to the end of its pixel data. Its header may take a sixteenth of this."""


DEFAULT_LIMITS = Limits()
