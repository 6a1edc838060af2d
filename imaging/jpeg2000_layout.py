"""Find the packets of a JPEG 2000 tile and their order (ITU-T T.800, B.5 to B.12)."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_BANDS = (((0, 0),), ((1, 0), (0, 1), (1, 1)))
"""The sub-bands of the lowest resolution, and those of every other resolution. Each sub-band has two numbers, for
horizontal and vertical: 0 is low-pass, 1 is high-pass."""
_MOST_KEPT = 4096

Paths = tuple[tuple[int, ...], ...]
"""For each code-block of one sub-band of a precinct, the nodes of a tag tree from the root to its leaf (B.10.2)."""


class Area(NamedTuple):
    """A rectangle of samples. `left` and `top` are inside, `right` and `bottom` are outside of it."""

    left: int
    top: int
    right: int
    bottom: int


class Style(NamedTuple):
    """How a component of a tile is coded: parameters of the segments COD and COC (A.6.1, A.6.2)."""

    levels: int
    wide: int
    high: int
    """`wide` and `high` are the width and height of a code-block, as exponents of two."""
    modes: int
    """Code-block style: table A.19, and bit 6 for high throughput (T.814 A.4)."""
    precincts: bytes
    """One byte for each resolution. If it is empty, the precincts have the largest size."""


class Precinct(NamedTuple):
    """A group of code-blocks of one resolution and one component; it has one packet in each layer."""

    resolution: int
    component: int
    top: int
    left: int
    modes: int
    paths: tuple[Paths, ...]
    """The paths in the tag tree of each sub-band that has code-blocks."""


class Packet(NamedTuple):
    """One layer of one precinct; `precinct` is its index in `TileLayout.precincts`."""

    precinct: int
    layer: int


class TileLayout(NamedTuple):
    """The precincts of a tile, and its packets in the order of the codestream."""

    precincts: tuple[Precinct, ...]
    packets: tuple[Packet, ...]


def tile_layout(area: Area, styles: tuple[Style, ...], layers: int, progression: int) -> TileLayout:
    """Return the packets of a tile. Small results are cached, because the frames of a series have the same layout."""
    few = packet_count(area, styles, layers) <= _MOST_KEPT
    return (_kept_layout if few else _layout)(area, styles, layers, progression)


def packet_count(area: Area, styles: tuple[Style, ...], layers: int) -> int:
    """Return the number of packets of a tile, without creating them."""
    resolutions = ((style, resolution) for style in styles for resolution in range(style.levels + 1))
    return layers * sum(across * down for _, _, across, down in (_grid(area, *each) for each in resolutions))


def _layout(area: Area, styles: tuple[Style, ...], layers: int, progression: int) -> TileLayout:
    precincts = tuple(
        precinct
        for component, style in enumerate(styles)
        for resolution in range(style.levels + 1)
        for precinct in _precincts(area, component, style, resolution)
    )
    packets = [Packet(index, layer) for index in range(len(precincts)) for layer in range(layers)]
    packets.sort(key=lambda packet: _order(precincts[packet.precinct], packet.layer, progression))
    return TileLayout(precincts, tuple(packets))


_kept_layout = lru_cache(maxsize=64)(_layout)


def _order(precinct: Precinct, layer: int, progression: int) -> tuple[int, ...]:
    """Return the sort key of a packet for the progression orders of table A.16.

    Packets with equal keys keep their previous order: by component, resolution, position and layer.
    """
    resolution, component, top, left = precinct[:4]
    return (
        (layer, resolution),
        (resolution, layer),
        (resolution, top, left),
        (top, left),
        (component, top, left),
    )[progression]


def _exponents(style: Style, resolution: int) -> tuple[int, int]:
    size = style.precincts[resolution] if style.precincts else 0xFF
    return size & 15, size >> 4


def _reduced(area: Area, level: int) -> Area:
    return Area(*(-(-each >> level) for each in area))


def _grid(area: Area, style: Style, resolution: int) -> tuple[int, int, int, int]:
    """Return column and row of the first precinct, and the number of precincts across and down."""
    across, down = _exponents(style, resolution)
    at = _reduced(area, style.levels - resolution)
    column, row = at.left >> across, at.top >> down
    if at.left >= at.right or at.top >= at.bottom:
        return column, row, 0, 0
    return column, row, -(-at.right >> across) - column, -(-at.bottom >> down) - row


def _precincts(area: Area, component: int, style: Style, resolution: int) -> Iterator[Precinct]:
    wide, high = _exponents(style, resolution)
    level = style.levels - resolution
    column, row, across, down = _grid(area, style, resolution)
    for index in range(across * down):
        x, y = column + index % across, row + index // across
        top, left = max(area.top, y << high + level), max(area.left, x << wide + level)
        paths = tuple(_tree_paths(*grid) for grid in _grids(area, style, resolution, (x, y)))
        yield Precinct(resolution, component, top, left, style.modes, paths)


def _grids(area: Area, style: Style, resolution: int, position: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the numbers of code-blocks across and down, for each sub-band of a precinct that has code-blocks (B.7)."""
    half = 1 if resolution else 0
    level = style.levels - resolution + half
    for high_pass in _BANDS[half]:
        sides = []
        for axis, block in enumerate((style.wide, style.high)):
            shift = high_pass[axis] << level - 1 if half else 0
            exponent = _exponents(style, resolution)[axis] - half
            first, last = (-(-(area[axis + end] - shift) >> level) for end in (0, 2))
            first, last = max(first, position[axis] << exponent), min(last, position[axis] + 1 << exponent)
            side = min(block, exponent)
            sides.append((-(-last >> side) - (first >> side)) if first < last else 0)
        if all(sides):
            yield sides[0], sides[1]


@lru_cache(maxsize=256)
def _tree_paths(across: int, down: int) -> Paths:
    """Return the paths in the tag tree of a grid of code-blocks. A node covers two by two nodes of the level below."""
    paths = []
    for leaf in range(across * down):
        x, y, wide, high, start = leaf % across, leaf // across, across, down, 0
        path = [leaf]
        while wide * high > 1:
            start += wide * high
            x, y, wide, high = x // 2, y // 2, (wide + 1) // 2, (high + 1) // 2
            path.append(start + y * wide + x)
        paths.append(tuple(reversed(path)))
    return tuple(paths)
