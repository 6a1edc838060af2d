"""Decode JPEG frames, and check that none of their coded data are missing (ITU-T T.81).

If data end too early, libjpeg fills the rest with grey and warns, but its Python binding does not pass on the warning.
Therefore a frame is decoded with more rows of blocks than it has: the decoder must reach the end of the data behind the
last block of the frame, not before it. If this is not conclusive, foreign bytes are inserted behind the data. A decoder
of complete data does not use them: if they change the picture, data were missing.
"""

import re
from collections.abc import Callable

import numpy as np

from imaging.array import Array
from imaging.jpeg_lossless import coded_bits
from imaging.jpeg_markers import LOSSLESS, PROGRESSIVE, Jpeg, Scan, read_markers
from nightread.errors import RejectImage
from nightread.reasons import Reason

Decode = Callable[[bytes], Array]

_BLOCK = 8
_MOST_ROWS = 65_500
"""Maximum number of rows that libjpeg can decode."""
_NEXT_BLOCKS = 8
"""Maximum number of groups of blocks that a decoder may read from the padding bits behind the last block."""
_MOST_LEFT_BITS = 24
"""Fewer bits than this behind the last pixel are padding: up to seven fill the last byte (F.1.2.3), and up to two bytes
may follow."""
_COEFFICIENTS = 64
_COLOURS = 3
"""Maximum number of components for which a block without data is grey; frames with more are CMYK or YCCK."""
_COUNTS = 16
"""A table begins with 16 bytes: the number of codes of each length (B.2.4.2)."""
_FIRST_RESTART = 0xD0
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
_FOREIGN = bytes(index * 167 % 251 for index in range(1, 251))
"""Bytes for several blocks. They differ from the zeros that libjpeg reads behind the end of the data."""
_FILL = bytes(4)
_REPLACED = 3
"""Number of bytes at the end of the data that must influence the picture."""


def decode_complete(frame: bytes, decode: Decode) -> Array:
    """Return the pixels that `decode` makes of a JPEG frame. Raises RejectImage(TRUNCATED or BAD_PIXELS)."""
    jpeg = read_markers(frame)
    if jpeg is None:
        raise RejectImage(Reason.BAD_PIXELS, "The markers of a JPEG frame are damaged, or of an unsupported process.")
    _check_scans(jpeg, frame)
    if len(jpeg.scans) > 1 or jpeg.restart or jpeg.process == PROGRESSIVE or len(jpeg.components) > _COLOURS:
        return _compared(frame, jpeg, decode, decode(frame))
    if jpeg.process == LOSSLESS:
        return _lossless(frame, jpeg, decode)
    if any(down > 1 for _, down in jpeg.sampling) and len(jpeg.components) > 1:
        return _compared(frame, jpeg, decode, decode(frame))  # One more row would change the colours of the last row.
    return _with_one_row_more(frame, jpeg, decode)


def _check_scans(jpeg: Jpeg, frame: bytes) -> None:
    coded = b"".join(scan.components for scan in jpeg.scans)
    if set(coded) != set(jpeg.components) or (jpeg.process == PROGRESSIVE and not _has_all_coefficients(jpeg)):
        raise RejectImage(Reason.TRUNCATED, "A JPEG frame ends before its last scan.")
    scan = jpeg.scans[0]
    if jpeg.restart and len(jpeg.scans) == 1:
        marks = _RESTART.findall(frame, scan.start, scan.end)
        expected = -(-_units(jpeg) // jpeg.restart) - 1
        if not expected <= len(marks) <= expected + 1 or any(
            mark[0] & 7 != index & 7 for index, mark in enumerate(marks)
        ):
            raise RejectImage(Reason.TRUNCATED, "Restart intervals of a JPEG frame are missing.")


def _has_all_coefficients(jpeg: Jpeg) -> bool:
    """Return whether the scans of a progressive frame code all bits of all coefficients, in valid order (G.1.1.1)."""
    shifts = {component: [0] * _COEFFICIENTS for component in jpeg.components}
    found = {component: [False] * _COEFFICIENTS for component in jpeg.components}
    for scan in jpeg.scans:
        band = slice(scan.first, scan.last + 1)
        size = scan.last + 1 - scan.first
        for component in scan.components:
            if set(found[component][band]) - {bool(scan.before)} or set(shifts[component][band]) - {scan.before}:
                return False
            found[component][band], shifts[component][band] = [True] * size, [scan.shift] * size
    return all(map(all, found.values())) and not any(map(any, shifts.values()))


def _units(jpeg: Jpeg) -> int:
    """Return the number of minimum coded units of a frame with one scan (A.2)."""
    block = 1 if jpeg.process == LOSSLESS else _BLOCK
    wide = high = block
    if len(jpeg.components) > 1:
        wide, high = (block * max(factors) for factors in zip(*jpeg.sampling, strict=True))
    return -(-jpeg.columns // wide) * -(-jpeg.rows // high)


def _lossless(frame: bytes, jpeg: Jpeg, decode: Decode) -> Array:
    pixels = decode(frame)
    scan = jpeg.scans[0]
    left = 8 * (scan.end - scan.start - scan.stuffed) - coded_bits(pixels, jpeg)
    return pixels if 0 <= left < _MOST_LEFT_BITS else _compared(frame, jpeg, decode, pixels)


def _with_one_row_more(frame: bytes, jpeg: Jpeg, decode: Decode) -> Array:
    """Decode a sequential frame whose units are one block high, and check where its data end."""
    wide = _BLOCK * max(across for across, _ in jpeg.sampling) if len(jpeg.components) > 1 else _BLOCK
    high = -(-jpeg.rows // _BLOCK) * _BLOCK
    more = _BLOCK * -(-2 * _NEXT_BLOCKS * wide // jpeg.columns)
    if high + more > _MOST_ROWS:
        return _compared(frame, jpeg, decode, decode(frame))
    at = jpeg.rows_at
    pixels = decode(frame[:at] + (high + more).to_bytes(2, "big") + frame[at + 2 :])
    grey = 1 << jpeg.precision - 1
    behind = pixels[high:]
    decoded = np.any(behind[:_BLOCK, :wide] != grey)
    rest = behind.reshape(more // _BLOCK, _BLOCK, jpeg.columns, -1)
    if np.any(rest[0, :, (_NEXT_BLOCKS + 1) * wide :] != grey) or np.any(rest[2:] != grey):
        raise _too_long()
    pixels = pixels[: jpeg.rows]
    certain = decoded and not frame.endswith(_FILL, 0, jpeg.scans[0].end)
    return pixels if certain else _compared(frame, jpeg, decode, pixels)


def _compared(frame: bytes, jpeg: Jpeg, decode: Decode, pixels: Array) -> Array:
    """Return `pixels` after a check that they depend on all coded data, and not on bytes behind the data."""
    parts, position = [], 0
    for scan in jpeg.scans:
        parts += [frame[position : scan.start], _RESTART.sub(_behind_foreign, frame[scan.start : scan.end])]
        parts.append(_FOREIGN)
        position = scan.end
    if not np.array_equal(decode(b"".join((*parts, frame[position:]))), pixels):
        raise _truncated()
    end = jpeg.scans[-1].end
    start = max(len(frame[: end - _REPLACED].rstrip(b"\xff")), _last_interval(frame, jpeg.scans[-1]))
    replaced = frame[:start] + _FOREIGN[: end - start] + frame[end:]  # Behind 0xFF, other bytes would be a marker.
    # All codes of a blank frame may mean the same, so that no byte of it matters.
    filled = jpeg.process != PROGRESSIVE and frame.endswith(_FILL, 0, end) and pixels.min() != pixels.max()
    if not (filled or jpeg.process == LOSSLESS) or _codes_nothing(jpeg):
        return pixels
    if np.array_equal(decode(replaced), pixels):
        raise _too_long()
    return pixels


def _last_interval(frame: bytes, scan: Scan) -> int:
    """Return the start of the last restart interval that has data; 0 if the scan has only one interval."""
    mark = frame.rfind(b"\xff", scan.start, scan.end - 2)
    return mark + 2 if mark >= 0 and frame[mark + 1] & 0xF8 == _FIRST_RESTART else 0


def _codes_nothing(jpeg: Jpeg) -> bool:
    """Return whether the tables of the last scan have only the symbol 0, so that any data decode to a blank scan.

    Such a table is valid (K.2 excludes only the code of all ones), and the best table for the colours of a grey
    picture.
    """
    kinds = (0,) if jpeg.process == LOSSLESS else (0, 1)
    tables = jpeg.scans[-1].tables
    used = [jpeg.last_tables.get(kind << 4 | (table >> 4, table & 15)[kind], b"") for table in tables for kind in kinds]
    return all(set(table[_COUNTS:]) == {0} for table in used)


def _behind_foreign(restart: re.Match[bytes]) -> bytes:
    return _FOREIGN + restart[0]


def _truncated() -> RejectImage:
    return RejectImage(Reason.TRUNCATED, "The coded data of a JPEG frame end too early.")


def _too_long() -> RejectImage:
    return RejectImage(Reason.BAD_PIXELS, "A JPEG frame holds more coded data than its pixels need.")
