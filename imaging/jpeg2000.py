"""Read the header of a JPEG 2000 frame, and reject frames that would cost too much memory (ITU-T T.800, A and I)."""

import struct
from collections.abc import Iterator

_CODESTREAM_START = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_SYCC = b"\x00\x00\x00\x12"
_FULL_RESOLUTION = b"\x01\x01"
_MOST_SAMPLES = 3
_MOST_TILES = 8192
"""Maximum number of tiles. OpenJPEG allocates about 10 kB per tile, even for small tiles."""
_LEAST_BLOCK = 128
"""Smallest accepted average of pixels per code-block (usually 1,024 or 4,096). OpenJPEG allocates 0.5 kB for each."""
_ALWAYS_CHEAP = 1 << 16
"""Frames with at most this many values are accepted with code-blocks of any size."""
_COD, _COC, _SOT, _SOD = 0xFF52, 0xFF53, 0xFF90, 0xFF93

Size = tuple[int, int, int, int, bool]
"""Rows, columns, samples, bits per sample, and whether samples are signed."""


def read_size(frame: bytes) -> Size | None:
    """Return the size that the decoder will find; None if there is no valid header or decoding may cost too much.

    Decoding may cost too much memory if a frame has a palette or subsampled components (DICOM forbids both), or far
    more tiles or code-blocks than usual.
    """
    start = codestream_start(frame)
    if not frame.startswith(_CODESTREAM_START, start) or start + 45 > len(frame):
        return None
    right, bottom, left, top, *tiling = struct.unpack_from(">8I", frame, start + 8)
    samples, depth = struct.unpack_from(">HB", frame, start + 40)
    for component in range(min(samples, _MOST_SAMPLES)):
        if not frame.startswith(_FULL_RESOLUTION, start + 43 + 3 * component):
            return None
    if not _has_few_tiles(right, bottom, *tiling):
        return None
    values = (bottom - top) * (right - left) * samples
    if values > _ALWAYS_CHEAP and any(blocks * _LEAST_BLOCK > values for blocks in _block_counts(frame, start, values)):
        return None
    return bottom - top, right - left, samples, (depth & 0x7F) + 1, bool(depth & 0x80)


def codestream_start(frame: bytes) -> int:
    """Return the position of the codestream: behind the boxes of a JP2 file, else 0."""
    return _jp2_codestream(frame) if frame.startswith(_JP2_SIGNATURE) else 0


def has_own_colour_transform(frame: bytes) -> bool:
    """Return whether the decoder turns the components into RGB: the multiple component transformation (A.6.1)."""
    style = _coding_style(frame)
    return style > 0 and frame[style + 4] == 1


def is_reversible(frame: bytes) -> bool:
    """Return whether the wavelet transformation is the 5-3 reversible one (table A.20)."""
    style = _coding_style(frame)
    return style > 0 and frame[style + 9] == 1


def is_ycc(frame: bytes) -> bool:
    """Return whether the boxes of a JP2 file declare the colour space sYCC (I.5.3.3)."""
    box = frame.find(b"colr", 0, codestream_start(frame))
    return box > 0 and frame[box + 4] == 1 and frame[box + 7 : box + 11] == _SYCC


def _coding_style(frame: bytes) -> int:
    """Return the position of the parameters in the first segment COD; 0 if there is none."""
    for marker, position in _segments(frame, codestream_start(frame)):
        if marker == _COD and position + 14 <= len(frame):
            return position + 4
    return 0


def _jp2_codestream(frame: bytes) -> int:
    """Return where a decoder finds the codestream in a JP2 file; the length of the frame if it finds none."""
    position = 0
    while position + 8 <= len(frame):
        length, kind = struct.unpack_from(">I4s", frame, position)
        if kind == b"jp2c":
            return position + (16 if length == 1 else 8)
        if length < 8 or (kind == b"jp2h" and b"pclr" in frame[position : position + length]):  # noqa: PLR2004
            break
        position += length
    return len(frame)


def _has_few_tiles(right: int, bottom: int, width: int, height: int, left: int, top: int) -> bool:
    if not width or not height:
        return False
    return -((left - right) // width) * -((top - bottom) // height) <= _MOST_TILES


def _block_counts(frame: bytes, start: int, values: int) -> Iterator[int]:
    """Yield for each coding style the number of code-blocks that the whole frame would have in this style.

    Source: ITU-T T.800, A.6.1 and A.6.2.
    """
    for marker, position in _segments(frame, start):
        style = position + (4 if marker == _COD else 5)  # COC begins with the component's index: 1 byte if < 257
        if position + 15 > len(frame):
            return
        with_precincts = frame[style] & 1
        parameters = style + (5 if marker == _COD else 1)
        levels, wide, high = frame[parameters], (frame[parameters + 1] & 15) + 2, (frame[parameters + 2] & 15) + 2
        precincts = frame[parameters + 5 : parameters + 6 + levels] if with_precincts else b""
        yield _blocks(values, levels, wide + high, wide, precincts)


def _blocks(values: int, levels: int, area: int, wide: int, precincts: bytes) -> int:
    """Return the number of code-blocks of all resolutions.

    `values` is the number of values of the frame. `area` and `wide` are the number of pixels and the width of a
    code-block, as exponents of two. A precinct limits the size of its code-blocks.
    """
    if not precincts:
        return (values >> area) * 4 // 3
    blocks = 0
    for resolution, size in enumerate(precincts):
        half = 1 if resolution else 0
        across = min(wide, max((size & 15) - half, 0))
        down = min(area - wide, max((size >> 4) - half, 0))
        blocks += values >> 2 * (levels - resolution) >> across + down
    return blocks


def _segments(frame: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Yield marker and position of each coding style, in the main header and in the headers of tile-parts."""
    position, tile_part = start + 2, 0
    while position + 12 <= len(frame):
        marker, length = struct.unpack_from(">HH", frame, position)
        if marker in (_COD, _COC):
            yield marker, position
        if marker == _SOT:
            tile_part = position
        if marker == _SOD:  # A length of zero means that the tile-part extends to the end (A.4.2).
            part_length = struct.unpack_from(">I", frame, tile_part + 6)[0]
            if part_length <= position - tile_part:
                return
            position = tile_part + part_length
        else:
            position += 2 + length
