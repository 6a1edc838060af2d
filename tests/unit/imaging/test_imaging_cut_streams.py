"""A compressed frame that lost bytes is rejected, or decodes to the very pixels of the whole frame."""

import numpy as np
import pytest
from cut_streams import Stream, cuts, streams

from imaging.array import Array
from imaging.codecs import decode_frame
from imaging.codestream import first_scan
from nightread.errors import RejectImage
from nightread.reasons import Reason

PLACES = 50
DEFECTIVE = (Reason.BAD_PIXELS, Reason.TRUNCATED)
RLE_HEADER = 64
STREAMS = {
    f"{name}, {'black' if black else 'noisy'} border": stream
    for black in (True, False)
    for name, stream in streams(black=black).items()
}


def start_of_pixels(frame: bytes) -> int:
    """Return where the coded pixels begin."""
    if frame.startswith(b"\xff\xd8"):
        return first_scan(frame) + 12
    return frame.index(b"\xff\x93") + 2 if frame.startswith(b"\xff\x4f") else RLE_HEADER


def has_other_pixels(stream: Stream, frame: bytes, whole: Array) -> bool:
    """Return whether a damaged frame decodes, and not to the pixels of the whole one."""
    try:
        return not np.array_equal(decode_frame(stream.codec, frame, stream.layout).values, whole)
    except RejectImage as rejected:
        return rejected.reason not in DEFECTIVE


@pytest.mark.parametrize("stream", STREAMS.values(), ids=list(STREAMS))
def test_a_frame_that_lost_bytes_has_no_other_pixels(stream: Stream) -> None:
    """The frame is cut at 50 places: as it is, with an end marker, filled with zeros or 0xFF, and with a gap."""
    lost = cuts(stream.frame, start=start_of_pixels(stream.frame), places=PLACES)
    whole = stream.pixels
    assert [name for name, frame in lost if has_other_pixels(stream, frame, whole)] == []
