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


DEFAULT_LIMITS = Limits()
