"""Collect the tile-parts of a JPEG 2000 codestream, and check that each tile has all its packets (ITU-T T.800 A.4)."""

import struct
from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from imaging.jpeg2000_layout import Area, Style, packet_count, tile_layout
from imaging.jpeg2000_packets import check_packets
from nightread.errors import RejectImage
from nightread.reasons import Reason

_SIZ = struct.Struct(">8IH")
_SIZE_AT = 8
_COD, _COC, _POC, _PPM, _PPT = 0xFF52, 0xFF53, 0xFF5F, 0xFF60, 0xFF61
_SOT, _SOD = 0xFF90, 0xFF93
_TILE_PART = b"\xff\x90"
_UNUSUAL = frozenset((_POC, _PPM, _PPT))
"""Markers of a changed progression order, and of packet headers that are stored apart from the packets."""
_END = b"\xff\xd9"
_TILE_PART_HEADER = 12
_MOST_PACKETS = 200_000
"""Maximum number of packets: reading them takes about a second. Usual numbers are 6 to 500."""
_MOST_LEVELS, _LEAST_PARAMETERS, _LAST_PROGRESSION = 32, 5, 4
_WIDE = 257
"""From this number of components on, their indices have two bytes (A.6.2)."""


Segment = tuple[int, bytes]
"""The marker of a segment, and its content without the length field."""


class _Coding(NamedTuple):
    progression: int
    layers: int
    default: Style
    styles: dict[int, Style]


class _Size(NamedTuple):
    right: int
    bottom: int
    left: int
    top: int
    tile_width: int
    tile_height: int
    tile_left: int
    tile_top: int
    components: int


def check_complete(stream: bytes) -> None:
    """Raise RejectImage(TRUNCATED or BAD_PIXELS) unless the bare codestream holds every packet of every tile.

    Codestreams with POC, PPM or PPT are not checked, because no known writer of DICOM objects uses these markers.
    """
    size = _Size(*_SIZ.unpack_from(stream, _SIZE_AT))
    header = list(_main_header(stream))
    if any(marker in _UNUSUAL for marker, _ in header):
        return
    main = _changed(None, header, size.components)
    parts: dict[int, list[bytes]] = {}
    codings: dict[int, _Coding] = {}
    for tile, segments, data in _tile_parts(stream, 2 + _length(header)):
        if any(marker in _UNUSUAL for marker, _ in segments):
            return
        codings[tile] = _changed(codings.get(tile, main), segments, size.components)
        parts.setdefault(tile, []).append(data)
    left = _MOST_PACKETS
    for tile, area in enumerate(_tile_areas(size)):
        if tile not in parts:
            raise RejectImage(Reason.TRUNCATED, "A JPEG 2000 frame ends before its last tile.")
        coding = codings[tile]
        styles = tuple(coding.styles.get(component, coding.default) for component in range(size.components))
        left -= packet_count(area, styles, coding.layers)
        if left < 0 or coding.progression > _LAST_PROGRESSION:
            raise RejectImage(
                Reason.BAD_PIXELS, "A JPEG 2000 frame has too many packets, or an unknown progression order."
            )
        check_packets(b"".join(parts[tile]), tile_layout(area, styles, coding.layers, coding.progression))


def _tile_areas(size: _Size) -> Iterator[Area]:
    across = -((size.tile_left - size.right) // size.tile_width)
    down = -((size.tile_top - size.bottom) // size.tile_height)
    for row, column in product(range(down), range(across)):
        left, top = size.tile_left + column * size.tile_width, size.tile_top + row * size.tile_height
        yield Area(
            max(left, size.left),
            max(top, size.top),
            min(left + size.tile_width, size.right),
            min(top + size.tile_height, size.bottom),
        )


def _main_header(stream: bytes) -> Iterator[Segment]:
    return _segments(stream, 2, len(stream), _SOT)


def _segments(stream: bytes, position: int, end: int, last: int) -> Iterator[Segment]:
    """Yield the marker segments from `position` up to the marker `last`."""
    while position + 2 <= end:
        marker = int.from_bytes(stream[position : position + 2], "big")
        if marker == last:
            return
        length = int.from_bytes(stream[position + 2 : position + 4], "big")
        yield marker, stream[position + 4 : position + 2 + length]
        position += 2 + length
    raise RejectImage(Reason.TRUNCATED, "A JPEG 2000 frame ends within a header.")


def _tile_parts(stream: bytes, position: int) -> Iterator[tuple[int, list[Segment], bytes]]:
    """Yield the index of the tile, the segments of the header, and the packets of each tile-part (A.4.2)."""
    while position + _TILE_PART_HEADER <= len(stream) and stream[position : position + 2] == _TILE_PART:
        tile, length = struct.unpack_from(">HI", stream, position + 4)
        end = position + length if length else _last_end(stream)  # Zero: up to the end of the codestream.
        if end > len(stream):
            raise RejectImage(Reason.TRUNCATED, "A JPEG 2000 frame ends within a tile-part.")
        header = list(_segments(stream, position + _TILE_PART_HEADER, end, _SOD))
        data = stream[position + _TILE_PART_HEADER + _length(header) + 2 : end]
        yield tile, header, data.removesuffix(_END)  # Some writers include the end marker in the length.
        position = end


def _length(segments: Iterable[Segment]) -> int:
    return sum(len(content) + 4 for _, content in segments)


def _last_end(stream: bytes) -> int:
    end = stream.rfind(_END)
    return end if end > 0 else len(stream)


def _changed(coding: _Coding | None, segments: Iterable[Segment], components: int) -> _Coding:
    """Return `coding`, changed by the segments of a header: COD applies to all components, and COC to one component."""
    for marker, content in sorted(segments):
        if marker == _COD:
            layers = int.from_bytes(content[2:4], "big")
            coding = _Coding(content[1], layers, _style(content[0], content[5:]), {})
        elif marker == _COC and coding is not None:
            width = 1 if components < _WIDE else 2
            style = _style(content[width], content[width + 1 :])
            coding = coding._replace(styles={**coding.styles, int.from_bytes(content[:width], "big"): style})
    if coding is None:
        raise RejectImage(Reason.BAD_PIXELS, "A JPEG 2000 frame has no coding style.")
    return coding


def _style(with_precincts: int, parameters: bytes) -> Style:
    levels, wide, high, modes = parameters[:4]
    if levels > _MOST_LEVELS or len(parameters) < _LEAST_PARAMETERS + (levels + 1) * (with_precincts & 1):
        raise RejectImage(Reason.BAD_PIXELS, "The coding style of a JPEG 2000 frame is damaged.")
    precincts = parameters[5 : 6 + levels] if with_precincts & 1 else b""
    return Style(levels, (wide & 15) + 2, (high & 15) + 2, modes, precincts)
