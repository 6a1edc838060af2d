"""Limit the pixels of one object, and the seconds for decoding them, by the number of bytes that the object holds."""

from imaging.pixel_layout import PixelLayout
from nightread.errors import RejectImage
from nightread.reasons import Reason

_BLANK_BYTES = 512 * 1024**2
"""Up to 512 MiB of decoded frames may come from any number of bytes: blank frames shrink to 100 bytes each."""
_MOST_RATIO = 5000
"""Decoded bytes per stored byte beyond that. Codecs reach it only for blank frames; scans shrink to a half, a tenth if
detail may be lost, and slides with much glass to a three-hundredth."""
_FEW_FRAMES = 1000
_FRAME_BYTES = 32
"""An object with more than 1,000 frames must store at least this many bytes per frame: each frame costs a
prediction."""
_BASE_SECONDS, _BASE_SHARE = 10.0, 6
"""An object of several frames may take 10 s in any case, or a sixth of the time that one frame may take."""
_USUAL_SECONDS = 60
"""The default of image_timeout_seconds."""
_BYTES_PER_SECOND = 256 * 1024
"""Decoders take 5 to 100 MB/s of stored bytes on one core (docs/performance.md), also while other processes use it."""


def check_density(layout: PixelLayout, stored_bytes: int) -> None:
    """Raise RejectImage(TOO_LARGE) if the object declares far more pixels or frames than its bytes can hold."""
    decoded = layout.rows * layout.columns * layout.samples * layout.frames * max(layout.bits_allocated // 8, 1)
    if decoded > max(_BLANK_BYTES, _MOST_RATIO * stored_bytes):
        raise RejectImage(
            Reason.TOO_LARGE,
            f"All {layout.frames:,} frames together would have {decoded:,} bytes, but are stored in {stored_bytes:,}: "
            f"more than {_MOST_RATIO:,} times as many.",
        )
    if layout.frames > max(_FEW_FRAMES, stored_bytes // _FRAME_BYTES):
        raise RejectImage(
            Reason.TOO_LARGE,
            f"The object has {layout.frames:,} frames in {stored_bytes:,} bytes: fewer than {_FRAME_BYTES} per frame.",
        )


def object_seconds(frames: int, stored_bytes: int, frame_seconds: float) -> float:
    """Return how long all frames of an object may take; `frame_seconds` is the limit of one of them.

    A longer limit than the usual minute, for a slow machine, gives proportionally more.
    """
    if frames == 1:
        return frame_seconds
    base = min(frame_seconds, max(_BASE_SECONDS, frame_seconds / _BASE_SHARE))
    return base + stored_bytes / _BYTES_PER_SECOND * max(1.0, frame_seconds / _USUAL_SECONDS)
