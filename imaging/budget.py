"""Limit the pixels of one object and the time to decode them, in proportion to the bytes that the object stores."""

from imaging.pixel_layout import PixelLayout
from nightread.errors import RejectImage
from nightread.reasons import Reason

_BLANK_BYTES = 512 * 1024**2
"""Every object may have 512 MiB of decoded frames, even if it stores few bytes: a blank frame takes only 100 bytes."""
_MOST_RATIO = 5000
"""Maximum number of decoded bytes per stored byte, for objects with more than 512 MiB of decoded frames. Codecs reach
it only for blank frames. Usual ratios are 2; 10 for lossy compression; 300 for slides with much glass."""
_FEW_FRAMES = 1000
_FRAME_BYTES = 32
"""An object with more than 1,000 frames must store at least this many bytes per frame: each frame costs a
prediction."""
_BASE_SECONDS, _BASE_SHARE = 10.0, 6
"""Base of the time limit of an object with several frames: 10 s, or a sixth of the limit for one frame if that is
longer. The time for the stored bytes is added to it."""
_USUAL_SECONDS = 60
"""The default of image_timeout_seconds."""
_BYTES_PER_SECOND = 256 * 1024
"""Assumed decoding speed, with a margin for a busy core. Decoders process 5 to 100 MB of stored bytes per second on one
core (docs/performance.md)."""


def check_density(layout: PixelLayout, stored_bytes: int) -> None:
    """Raise RejectImage(TOO_LARGE) if the object declares far more pixels or frames than its bytes can hold."""
    decoded = layout.rows * layout.columns * layout.samples * layout.frames * max(layout.bits_allocated // 8, 1)
    if decoded > max(_BLANK_BYTES, _MOST_RATIO * stored_bytes):
        raise RejectImage(
            Reason.TOO_LARGE,
            f"All {layout.frames:,} frames together would have {decoded:,} bytes: more than {_MOST_RATIO:,} times "
            f"as many as the {stored_bytes:,} stored bytes.",
        )
    if layout.frames > max(_FEW_FRAMES, stored_bytes // _FRAME_BYTES):
        raise RejectImage(
            Reason.TOO_LARGE,
            f"The object has {layout.frames:,} frames in {stored_bytes:,} bytes: less than {_FRAME_BYTES} bytes per "
            "frame.",
        )


def object_seconds(frames: int, stored_bytes: int, frame_seconds: float) -> float:
    """Return how many seconds decoding all frames of an object may take; `frame_seconds` is the limit for one frame.

    If `frame_seconds` is above its default, because the machine is slow, the time per byte grows in proportion.
    """
    if frames == 1:
        return frame_seconds
    base = min(frame_seconds, max(_BASE_SECONDS, frame_seconds / _BASE_SHARE))
    return base + stored_bytes / _BYTES_PER_SECOND * max(1.0, frame_seconds / _USUAL_SECONDS)
