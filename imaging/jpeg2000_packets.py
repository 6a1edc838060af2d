"""Check that a JPEG 2000 codestream holds all its packets (ITU-T T.800, A.4 and B.9 to B.10; T.814 for HTJ2K).

OpenJPEG treats missing packets as empty packets, and decodes fill bytes like data. Only the headers of packets are read
here, which takes about 2 % of the time to decode the frame.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from imaging.jpeg2000_layout import Paths, Precinct, TileLayout
from nightread.errors import RejectImage
from nightread.reasons import Reason

_START_OF_PACKET, _END_OF_HEADER = b"\xff\x91", b"\xff\x92"
_START_OF_PACKET_BYTES = 6
_LAST_MARKER = 0x92
"""Largest byte that may follow 0xFF in packets and their markers (B.10.1, C.2.1). Encoders write no larger byte."""
_BYPASS, _TERMINATE_ALL, _HIGH_THROUGHPUT = 1, 4, 64
_MOST_PLANES = 75
"""If a code-block has this many empty bit-planes, or a length has this many bits, the packet header is damaged."""
_FIRST_WITHOUT_BYPASS = 10
_UNKNOWN = 1 << 30
_FILL = bytes(4)
_MOST_LEFT = 1
"""Number of bytes behind the last packet that are taken for padding to an even length."""
_MARK = 0xFF
_SHIFTS, _SHIFTS_BEHIND_MARK = range(7, -1, -1), range(6, -1, -1)
NextBit = Callable[[], int]


class _Tree:
    """A tag tree (B.10.2). It holds a value for each code-block of one sub-band of a precinct."""

    __slots__ = ("_lows", "_paths", "_values")

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        nodes = paths[0][0] + 1  # The root is the last node.
        self._lows = [0] * nodes
        self._values = [_UNKNOWN] * nodes

    def is_below(self, leaf: int, threshold: int, bit: NextBit) -> bool:
        """Read bits until it is known whether the value of a leaf is below the threshold."""
        values, lows, low = self._values, self._lows, 0
        for node in self._paths[leaf]:
            low = max(low, lows[node])
            value = values[node]
            while low < threshold and low < value:
                if bit():
                    values[node] = value = low
                else:
                    low += 1
            lows[node] = low
        return values[leaf] < threshold


class _Band:
    """What the packets read so far say about the code-blocks of one sub-band of a precinct."""

    __slots__ = ("blocks", "inclusion", "passes", "planes", "widths")

    def __init__(self, paths: Paths) -> None:
        self.blocks = len(paths)
        self.inclusion, self.planes = _Tree(paths), _Tree(paths)
        self.passes = [0] * self.blocks
        self.widths = [3] * self.blocks


def _bits(data: bytes, at: list[int]) -> Iterator[int]:
    """Yield the bits of a packet header; a byte after 0xFF has only seven (B.10.1).

    `at` is the position of the header, and becomes the position behind the last byte that was read.
    """
    (position,) = at
    shifts = _SHIFTS
    while position < len(data):
        byte = data[position]
        position += 1
        at[0] = position + (byte == _MARK)  # A header does not end with 0xFF: another byte follows it.
        for shift in shifts:
            yield byte >> shift & 1
        shifts = _SHIFTS_BEHIND_MARK if byte == _MARK else _SHIFTS
    raise _truncated()


def check_packets(data: bytes, layout: TileLayout) -> None:
    """Raise RejectImage(TRUNCATED or BAD_PIXELS) unless the data of a tile consist of exactly its packets."""
    if _has_foreign_bytes(data):
        raise RejectImage(Reason.BAD_PIXELS, "A JPEG 2000 frame has bytes that no packet can hold.")
    states = [[_Band(paths) for paths in precinct.paths] for precinct in layout.precincts]
    position, filled = 0, False
    for index, layer in layout.packets:
        precinct = layout.precincts[index]
        if data[position : position + 2] == _START_OF_PACKET:
            position += _START_OF_PACKET_BYTES
        at = [position]
        length = _body_length(_bits(data, at).__next__, precinct, states[index], layer)
        (position,) = at
        if data[position : position + 2] == _END_OF_HEADER:
            position += len(_END_OF_HEADER)
        position += length
        if position > len(data):
            raise _truncated()
        if length:
            # The arithmetic coder never ends with zeros (C.2.9), so zeros are fill bytes. Raw bits may end with zeros.
            filled = not precinct.modes & (_BYPASS | _HIGH_THROUGHPUT) and data.endswith(_FILL, 0, position)
    if len(data) - position > _MOST_LEFT:
        raise RejectImage(Reason.BAD_PIXELS, "A JPEG 2000 frame holds more bytes than its packets need.")
    if filled:
        raise RejectImage(Reason.BAD_PIXELS, "The last packet of a JPEG 2000 frame was filled with zeros.")


def _has_foreign_bytes(data: bytes) -> bool:
    """Return whether the data hold 0xFF with a byte that cannot follow it. Faster than a regular expression."""
    values = np.frombuffer(data, np.uint8)
    marks = np.flatnonzero(values[:-1] == _MARK)
    return bool(np.any(values[marks + 1] > _LAST_MARKER))


def _body_length(bit: NextBit, precinct: Precinct, bands: list[_Band], layer: int) -> int:
    """Read the header of a packet, and return the number of bytes of its code-blocks (B.10.3 to B.10.7)."""
    if not bit():
        return 0
    total = 0
    for band in bands:
        for block in range(band.blocks):
            if not (bit() if band.passes[block] else band.inclusion.is_below(block, layer + 1, bit)):
                continue
            if not band.passes[block]:
                _check(band.planes.is_below(block, _MOST_PLANES, bit))
            total += _block_length(bit, precinct.modes, band, block)
    return total


def _block_length(bit: NextBit, modes: int, band: _Band, block: int) -> int:
    done, passes = band.passes[block], _read_passes(bit)
    while bit():
        band.widths[block] += 1
        _check(band.widths[block] < _MOST_PLANES)
    band.passes[block] = done + passes
    total = 0
    for first, last in pairwise(_segment_bounds(modes, done, done + passes)):
        total += _number(bit, band.widths[block] + (last - first).bit_length() - 1)
    return total


def _read_passes(bit: NextBit) -> int:
    """Return the number of coding passes (table B.4)."""
    if not bit():
        return 1
    if not bit():
        return 2
    for offset, count in ((3, 2), (6, 5)):
        value = _number(bit, count)
        if value < (1 << count) - 1:
            return offset + value
    return 37 + _number(bit, 7)


def _number(bit: NextBit, count: int) -> int:
    value = 0
    for _ in range(count):
        value = value << 1 | bit()
    return value


def _segment_bounds(modes: int, first: int, last: int) -> list[int]:
    """Return the passes at which codeword segments begin and end, from the first new pass to the last (B.10.7)."""
    if modes & _HIGH_THROUGHPUT:
        ends = [1]
    elif modes & _TERMINATE_ALL:
        ends = list(range(1, last))
    elif modes & _BYPASS:
        ends = sorted((*range(_FIRST_WITHOUT_BYPASS, last, 3), *range(_FIRST_WITHOUT_BYPASS + 2, last, 3)))
    else:
        ends = []
    return [first, *(end for end in ends if first < end < last), last]


def _check(sound: bool) -> None:
    if not sound:
        raise RejectImage(Reason.BAD_PIXELS, "The header of a packet of a JPEG 2000 frame is damaged.")


def _truncated() -> RejectImage:
    return RejectImage(Reason.TRUNCATED, "A JPEG 2000 frame ends before its last packet.")
